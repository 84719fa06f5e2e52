class FilterModule(object):
    def filters(self):
        return {"plus_one": lambda number: number + 1}
