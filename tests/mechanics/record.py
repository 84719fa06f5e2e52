#!/usr/bin/env python3
"""Runs the cases of tests/data/mechanics with the real ansible-core and keeps what each host went through.

Usage: record.py [--check] [NAME...]   (in an environment that has ansible-core)

Without names all cases are run and tests/data/mechanics/recorded.json is written anew; with --check nothing is written
and a difference is an error. The unit tests replay the same cases with hactl. One process a case: each forks from this
one, which has ansible-core loaded.
"""
import json, os, pathlib, shutil, sys, tempfile
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data/mechanics"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="mechanics."))

CALLBACK = '''
import json, os
from ansible.playbook.handler import Handler
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "keep"
    INCLUDES = ("include_tasks", "include_role")

    def keep(self, result, status, item=False):
        task, data = result._task, result._result
        name = task.get_name().strip().replace("ansible.builtin.", "")
        if item:
            name += " [item]"
        elif task.loop is not None and data.get("results"):
            return
        if task.action.split(".")[-1] in self.INCLUDES and status != "failed":
            return
        line = f"{name}: {status}" + (" (handler)" if isinstance(task, Handler) else "")
        said = None
        if task.action.split(".")[-1] == "debug" and status in ("ok", "changed"):
            said = data.get("msg", data.get(task.args.get("var")))
            line += ": " + (said if isinstance(said, str) else json.dumps(said, sort_keys=True, default=str))
        with open(os.environ["KEEP"], "a") as file:
            file.write(json.dumps([result._host.get_name(), line]) + "\\n")

    def good(self, result, item):
        self.keep(result, "changed" if result._result.get("changed") else "ok", item)

    def v2_runner_on_ok(self, result):
        self.good(result, False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.keep(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result):
        self.keep(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self.keep(result, "unreachable")

    def v2_runner_item_on_ok(self, result):
        self.good(result, True)

    def v2_runner_item_on_failed(self, result):
        self.keep(result, "ignored" if result._task.ignore_errors else "failed", True)

    def v2_runner_item_on_skipped(self, result):
        self.keep(result, "skipped", True)

    def v2_playbook_on_stats(self, stats):
        lost = sorted(host for host in stats.processed if stats.failures.get(host) or stats.dark.get(host))
        with open(os.environ["KEEP"], "a") as file:
            file.write(json.dumps(["", lost]) + "\\n")
'''


def project(case, top):
    """Writes a case's files; gives the arguments of ansible-playbook."""
    root, out = top / "project", top / "dir"
    root.mkdir(parents=True), out.mkdir()
    site = case.get("plays") or [{"name": "Play", "hosts": "all", "gather_facts": False, "tasks": case["tasks"]}]
    hosts = case.get("inventory") or {"all": {"hosts": {name: {} for name in case.get("hosts", ["here"])}}}
    hosts.setdefault("all", {}).setdefault("vars", {})["dir"] = str(out)
    files = {"site.yml": site, "hosts.yml": hosts, **case.get("files", {})}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    words = ["ansible-playbook", "-i", "hosts.yml", "-c", "local", "site.yml"]
    for option in ("tags", "skip_tags", "limit"):
        if case.get(option):
            words += ["--" + option.replace("_", "-"), case[option]]
    if case.get("extra"):
        words += ["-e", json.dumps(case["extra"])]
    words += ["--check"] * case.get("check", False) + ["--force-handlers"] * case.get("force_handlers", False)
    return root, words


def run(case, top):
    """One case in a process of its own: what each host went through, and who failed; nothing when it was refused."""
    root, words = project(case, top)
    kept = top / "kept"
    child = os.fork()
    if child == 0:
        os.chdir(root)
        os.environ["KEEP"] = str(kept)
        log = os.open(top / "log", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(log, 1), os.dup2(log, 2)
        try:
            from ansible.cli.playbook import PlaybookCLI
            os._exit(PlaybookCLI(words).run() or 0)
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(250)
    os.waitpid(child, 0)
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    if not lines or lines[-1][0] != "":
        return {"refused": True}
    told = {"hosts": {}, "failed": lines.pop()[1]}
    for host, line in lines:
        line = line.replace(str(root), "PROJECT").replace(str(top / "dir"), "DIR")
        told["hosts"].setdefault(host, []).append(line)
    told["hosts"] = dict(sorted(told["hosts"].items()))
    return told


def main(arguments):
    check = "--check" in arguments
    names = [name for name in arguments if not name.startswith("--")]
    (WORK / "callback").mkdir()
    (WORK / "none.cfg").touch()
    (WORK / "callback/keep.py").write_text(CALLBACK)
    os.environ.update(
        ANSIBLE_CALLBACK_PLUGINS=str(WORK / "callback"), ANSIBLE_STDOUT_CALLBACK="keep", ANSIBLE_PIPELINING="1",
        ANSIBLE_PYTHON_INTERPRETER=sys.executable, ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_LOCAL_TEMP=str(WORK / "tmp"),
        ANSIBLE_CONFIG=str(WORK / "none.cfg"), ANSIBLE_RETRY_FILES_ENABLED="0", LC_ALL="C.UTF-8")
    import ansible.cli.playbook  # noqa: F401  loaded once for all
    recorded = DATA / "recorded.json"
    before = json.loads(recorded.read_text()) if recorded.exists() else {}
    after = {}
    for path in sorted(DATA.glob("*.yml")):
        for case in yaml.safe_load(path.read_text()):
            key = f"{path.stem}: {case['name']}"
            if key in after:
                sys.exit(f"two cases are called `{key}`")
            if names and not any(name in key for name in names):
                after[key] = before.get(key)
                continue
            top = WORK / str(len(after))
            after[key] = run(case, top)
            if names:
                print(key, json.dumps(after[key], indent=1), (top / "log").read_text()[-3000:], sep="\n")
    shutil.rmtree(WORK)
    changed = [key for key in after if before.get(key) != after[key]] + [key for key in before if key not in after]
    print(f"{len(after)} cases, {len(changed)} differ from what was recorded: {', '.join(changed) or '-'}")
    if check:
        sys.exit(bool(changed))
    recorded.write_text("{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(told, ensure_ascii=False)}" for key, told in after.items()) + "\n}\n")


main(sys.argv[1:])
