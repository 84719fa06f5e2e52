#!/usr/bin/env python3
"""Runs the cases of this directory with the real ansible-core and keeps what they came to.

Usage: differential.py CASES.yaml GOLDEN.json   (in an environment that has ansible-core; as root)

The unit tests run the same cases with hactl and compare changed, end state and registered values.
"""
import json, os, shutil, subprocess, sys, tempfile
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
# What is not compared: texts for people, and what is of one run or one machine only.
NOISE = ("invocation", "diff", "warnings", "deprecations", "exception", "src", "md5sum", "msg", "backup", "backup_file", "extract_results",
         "stdout", "stdout_lines", "stderr", "stderr_lines", "validation", "response", "elapsed")

# Keeps the result of each task, and the state that it left, before the next one starts.
CALLBACK = '''
import json, os, subprocess
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "keep"

    def keep(self, result, **more):
        work = os.environ["WORK"]
        number, attempt = result._task.get_name().split()
        with open(f"{work}/{number}.{attempt}.json", "w") as file:
            json.dump(dict(result._result, **more), file, default=str)
        with open(f"{work}/{number}.{attempt}.dump", "w") as file:
            subprocess.run(["sh", os.environ["DUMP"]], cwd=f"{work}/{number}", stdout=file, check=True)

    def v2_runner_on_ok(self, result):
        self.keep(result, failed=False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.keep(result, failed=True)

    def v2_runner_on_skipped(self, result):
        self.keep(result, failed=False, skipped=True)
'''


def main(cases_file, golden_file):
    cases = yaml.safe_load(open(cases_file))
    work = tempfile.mkdtemp(prefix="differential.")
    os.makedirs(work + "/callback")
    with open(work + "/callback/keep.py", "w") as file:
        file.write(CALLBACK)
    tasks = []
    for number, case in enumerate(cases):
        top = f"{work}/{number}"
        os.makedirs(top + "/ctl")
        subprocess.run(["sh", "-ec", "umask 022; cd " + top + "; " + case.get("before", ":")], check=True)
        params = json.loads(json.dumps(case["params"]).replace("%T%", top))
        for attempt in ("first", "second"):
            tasks.append({"name": f"{number} {attempt}", case["module"]: params, "ignore_errors": True})
    playbook = f"{work}/play.yaml"
    with open(playbook, "w") as file:
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}], file, sort_keys=False)
    environment = dict(os.environ, WORK=work, DUMP=HERE + "/dump.sh", ANSIBLE_PIPELINING="1", ANSIBLE_STDOUT_CALLBACK="keep",
                       ANSIBLE_CALLBACK_PLUGINS=work + "/callback")
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", playbook]
    subprocess.run(command, env=environment)
    golden = []
    for number, case in enumerate(cases):
        top = f"{work}/{number}"
        entry = {"name": case["name"]}
        for attempt in ("first", "second"):
            result = json.load(open(f"{work}/{number}.{attempt}.json"))
            result = {key: value for key, value in result.items() if key not in NOISE and not key.startswith("_ansible")}
            if case.get("sorted"):
                result["files"].sort(key=lambda found: found["path"])
            entry[attempt] = json.loads(json.dumps(result).replace(top, "%T%"))
            entry[attempt + "_state"] = open(f"{work}/{number}.{attempt}.dump", newline="").read().replace(top, "%T%").rstrip("\n").split("\n")
        golden.append(entry)
    with open(golden_file, "w") as file:
        json.dump(golden, file, indent=1, ensure_ascii=False)
        file.write("\n")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
