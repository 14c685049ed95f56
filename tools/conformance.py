"""Judges a run of the Autobahn test suite: `conformance.py FOLDER [--write]`.

Fails on any case that is neither OK, INFORMATIONAL nor one of the two that are known to be NON-STRICT, on any wrong
closing handshake, and where a close code was due and none, or another one, was sent. With --write the summary goes
to docs/conformance.md.
"""

import collections
import json
import os
import subprocess
import sys

GROUPS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation",
    "6": "UTF-8", "7": "close handshake", "9": "limits and performance", "10": "auto-fragmentation", "11": "many messages",
}
# Text that is broken within a frame is refused at the frame's end, with 1007, and not at the broken byte.
NON_STRICT = {"6.4.3", "6.4.4"}
# What the node has to close with by itself, by the start of the case's number.
DUE = {"3.": {1002}, "4.": {1000, 1002}, "6.": {1000, 1007}}


def problems(case, result):
    """What is wrong with one case."""
    allowed = {"OK", "INFORMATIONAL"} | ({"NON-STRICT"} if case in NON_STRICT else set())
    if result["behavior"] not in allowed:
        yield f"is {result['behavior']}"
    if result["behaviorClose"] not in {"OK", "INFORMATIONAL"}:
        yield f"closes {result['behaviorClose']}"
    due = next((codes for start, codes in DUE.items() if case.startswith(start)), None)
    if due and result["remoteCloseCode"] not in due:
        yield f"closes with {result['remoteCloseCode']} instead of {due}"


def by_number(case):
    return [int(part) for part in case.split(".")]


def table(results):
    """One row per group: how many cases went how, and with which codes the node closed."""
    yield "| group | cases | OK | informational | non-strict | failed | the node's close codes |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    groups = collections.defaultdict(list)
    for case in sorted(results, key=by_number):
        groups[case.split(".")[0]].append(results[case])
    for group, cases in groups.items():
        counts = collections.Counter(case["behavior"] for case in cases)
        failed = len(cases) - counts["OK"] - counts["INFORMATIONAL"] - counts["NON-STRICT"]
        codes = collections.Counter(str(case["remoteCloseCode"] or "none") for case in cases)
        told = ", ".join(f"{code} ({count})" for code, count in sorted(codes.items()))
        row = [f"{group} {GROUPS[group]}", len(cases), counts["OK"], counts["INFORMATIONAL"], counts["NON-STRICT"],
               failed, told]
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def version(command):
    """The first line that a program says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


def document(agents):
    yield "# Conformance\n"
    yield "The Autobahn test suite against a node, through its own upgrade, frame reader, outbox and writer. Only what is"
    yield "made of a whole message differs: the node of this run sends it back (`gateway/examples/echo.rs`; no setting and no"
    yield "route of the real one does). Groups 12 and 13 test compression, which the node does not offer.\n"
    yield "```sh\ntools/conformance          # what CI runs: groups 1 to 7 and 10\ntools/conformance --full   # all, and writes this page\n```\n"
    yield "The suite runs under Python 2.7 alone: the package `python2.7` (Debian up to bullseye, Ubuntu up to 22.04), which `tools/needs` installs where there is"
    yield "one, or `pyenv install 2.7.18`. With it CI fails if the suite is not run or not passed. Where it can't be had CI passes and ends with `ci: conformance: NOT RUN`;"
    yield "`CONFORMANCE=required` makes that a failure, `CONFORMANCE=skip` leaves it out anywhere.\n"
    suite = version(["target/autobahn/bin/wstest", "--autobahnversion"])
    nginx = version(["nginx", "-v"]).removeprefix("nginx version: ")
    yield f"`autobahntestsuite` 25.10.1 ({suite}), Python 2.7, {nginx}.\n"
    for agent, how in (("direct", "Directly"), ("nginx", "Through nginx")):
        yield f"## {how}\n"
        yield from table(agents[agent])
        yield ""
    yield "Non-strict are 6.4.3 and 6.4.4: text that is broken in the middle of a frame is refused with 1007 when the frame has"
    yield "come, not at the broken byte. Informational are 7.1.6, 7.13.1 and 7.13.2, where the standard leaves the answer open."
    yield "A close code of a client is repeated (group 7); what it does wrong is answered with the node's own: 1002 or 1007."


def main(folder, write):
    with open(os.path.join(folder, "index.json"), encoding="utf-8") as file:
        agents = json.load(file)
    wrong = [f"{agent} {case} {what}" for agent, results in agents.items() for case, result in results.items()
             for what in problems(case, result)]
    cases = {agent: len(results) for agent, results in agents.items()}
    if set(cases) != {"direct", "nginx"} or min(cases.values()) < 240:
        wrong.append(f"too few cases ran: {cases}")
    for line in wrong:
        print(f"conformance: {line}")
    print(f"conformance: {cases}, {len(wrong)} problems")
    if write and not wrong:
        with open("docs/conformance.md", "w", encoding="utf-8") as file:
            file.write("\n".join(document(agents)) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--write" in sys.argv[2:]))
