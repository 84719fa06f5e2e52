#!/usr/bin/env python3
"""Runs the cases of this directory with the real ansible-core and keeps what they came to.

Usage: differential.py CASES.yaml GOLDEN.json   (in an environment that has ansible-core; as root)

The unit tests run the same cases with hactl and compare changed, end state and registered values.
"""
import json, os, subprocess, sys, tempfile, shutil
import yaml

DUMP = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "dump.sh")).read()


def main(cases_file, golden_file):
    cases = yaml.safe_load(open(cases_file))
    work = tempfile.mkdtemp(prefix="differential.")
    tasks = []
    for number, case in enumerate(cases):
        top = f"{work}/{number}"
        os.makedirs(top + "/ctl")
        subprocess.run(["sh", "-ec", "umask 022; cd " + top + "; " + case.get("before", ":")], check=True)
        params = json.loads(json.dumps(case["params"]).replace("%T%", top))
        for attempt in ("first", "second"):
            tasks.append({"name": f"{number} {attempt}", case["module"]: params, "register": "result", "ignore_errors": True,
                          "check_mode": bool(case.get("check", False)), "diff": False})
            tasks.append({"name": "keep", "ansible.builtin.copy": {"dest": f"{work}/{number}.{attempt}.json", "content": "{{ result | to_json }}"}})
            tasks.append({"name": "dump", "ansible.builtin.shell": f"cd {top}; ( {DUMP} ) >{work}/{number}.{attempt}.dump"})
    playbook = f"{work}/play.yaml"
    with open(playbook, "w") as file:
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}], file)
    environment = dict(os.environ, ANSIBLE_PIPELINING="1", ANSIBLE_STDOUT_CALLBACK="minimal", ANSIBLE_LOCALHOST_WARNING="0")
    run = subprocess.run(["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", playbook],
                         env=environment, stdout=open(work + "/log", "w"), stderr=subprocess.STDOUT)
    golden = []
    for number, case in enumerate(cases):
        top = f"{work}/{number}"
        entry = {"name": case["name"]}
        for attempt in ("first", "second"):
            result = json.load(open(f"{work}/{number}.{attempt}.json"))
            for noise in ("invocation", "diff", "warnings", "deprecations", "exception"):
                result.pop(noise, None)
            entry[attempt] = json.loads(json.dumps(result).replace(top, "%T%"))
            entry[attempt + "_state"] = open(f"{work}/{number}.{attempt}.dump").read().replace(top, "%T%").splitlines()
        golden.append(entry)
    with open(golden_file, "w") as file:
        json.dump(golden, file, indent=1, ensure_ascii=False)
        file.write("\n")
    shutil.rmtree(work)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
