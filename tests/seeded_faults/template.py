"""Faults of template.yaml, made from the template itself: each right taken out of each role, each switch turned."""
import re
from pathlib import Path

from .fault import DEPLOYED, TEMPLATE, Edit, Fault

FILE = "template.yaml"
RIGHTS = "each_role_may_do_exactly_what_its_function_does"
READERS = "every_queue_has_one_reader_that_reports_its_failures"
CONTRACT = "every_queue_is_as_the_contract_says"

PAUSED = "a_pause_under_load_holds_everything_and_loses_nothing"

# What the local AWS enforces of a role, by the action or by the statement, and the deployed test that needs it.
ENFORCED = {
    ("ApiIngressRole", "sqs:SendMessage"): "in_200_subjects",
    ("SqsConsumerRole", "sqs:SendMessage"): "one_that_fails_once_is_retried_whatever_its_version",
    ("SqsConsumerRole", "Bury"): "what_is_gone_is_buried_at_once",
    ("SqsConsumerRole", "ReadOrders"): PAUSED,
    ("SqsErrorConsumerRole", "sqs:SendMessage"): "in_200_subjects",
    ("SqsErrorConsumerRole", "Bury"): "entries_of_a_tier_are_tried_or_buried",
}


def block(lines: list[str], start: int) -> int:
    """The line after the block that begins in line `start`: what is indented deeper than it."""
    depth = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > depth):
        end += 1
    return end


class Whole(Edit):
    """The file with some lines taken out or put in their place; the text is unique because the lines are counted."""

    def apply(self, tree: Path) -> int:
        (tree / FILE).write_text(self.replace)
        return int(self.find)


def changed(lines: list[str], start: int, end: int, new: list[str]) -> tuple[Whole]:
    """The edit that puts `new` in the place of these lines."""
    return (Whole(FILE, str(start + 1), "".join(lines[:start] + new + lines[end:])),)


def statements(lines: list[str]) -> list[tuple[str, int, int]]:
    """Each statement of each function's role: the role, and its lines."""
    found = []
    role = ""
    for number, line in enumerate(lines):
        if resource := re.match(r"  (\w+):$", line.rstrip()):
            role = resource[1] if resource[1].endswith("Role") else ""
        if role and re.match(r"\s+- Sid: ", line):
            found.append((role, number, block(lines, number)))
    return found


def rights(lines: list[str]) -> list[Fault]:
    """Each action and each resource of each statement, taken out."""
    faults = []
    for role, start, end in statements(lines):
        text = "".join(lines[start:end])
        sid = re.search(r"Sid: (\w+)", text)[1]
        actions = re.findall(r"\w+:\w+", re.search(r"Action:\s*\[([^\]]*)\]", text)[1])
        resources = re.findall(r"!GetAtt (\w+)\.Arn", text)
        for action in actions:
            left = re.sub(rf"(, )?{action}(?=[,\]])", "", text, count=1).replace("[, ", "[")
            edits = changed(lines, start, end, [left] if len(actions) > 1 else [])
            what = f"{role}: {action} taken out"
            faults.append(Fault(f"right:{role}:{sid}:{action}", what, TEMPLATE, RIGHTS, edits))
            if test := ENFORCED.get((role, action)) or ENFORCED.get((role, sid)):
                # The generator of the queues needs the statement: it keeps one right that helps nobody.
                edits = changed(lines, start, end, [text.replace(action, "sts:GetCallerIdentity")])
                faults.append(Fault(f"deployed:{role}:{sid}:{action}", what, DEPLOYED, test, edits))
        for resource in resources if len(resources) > 1 else []:
            left = re.sub(rf"\n\s+- !GetAtt {resource}\.Arn|!GetAtt {resource}\.Arn(, )?", "", text, count=1)
            edits = changed(lines, start, end, [left.replace(", ]", "]")])
            what = f"{role}: {sid} without {resource}"
            faults.append(Fault(f"right:{role}:{sid}:{resource}", what, TEMPLATE, RIGHTS, edits))
    return faults


def switches(lines: list[str]) -> list[Fault]:
    """Lines that a queue or a mapping can't be without."""
    faults = []
    turned = [
        ("FunctionResponseTypes: [ReportBatchItemFailures]", "", READERS, "without ReportBatchItemFailures"),
        ("ContentBasedDeduplication: false", "ContentBasedDeduplication: true", CONTRACT, "deduplicates by content"),
        ("MessageRetentionPeriod: 1209600", "", CONTRACT, "keeps messages for 4 days only"),
        ("RedrivePolicy: {", None, CONTRACT, "has no last net behind it"),
        ("DelaySeconds: !Ref", None, CONTRACT, "does not delay"),
    ]
    owner = ""
    for number, line in enumerate(lines):
        if found := re.match(r"\s{2}(\w+):$|\s{8}(\w+):$", line.rstrip()):
            owner = found[1] or found[2]
        for text, new, test, what in turned:
            if not line.strip().startswith(text):
                continue
            indent = line[: len(line) - len(line.lstrip())]
            name = f"switch:{owner}:{text.split(':')[0]}"
            edits = changed(lines, number, number + 1, [f"{indent}{new}\n"] if new else [])
            faults.append(Fault(name, f"{owner} {what}", TEMPLATE, test, edits))
    return faults


def unreported(lines: list[str]) -> Fault:
    """No mapping listens to what its function reports. A subject's queue follows from its name, so all of them: what
    a function leaves undone near its end it reports, and unread that is deleted."""
    kept = [line for line in lines if not line.strip().startswith("FunctionResponseTypes:")]
    test = "ten_late_messages_of_one_subject_need_little_more_than_ten_timeouts"
    # The local stack's mappings are written anew by the generator.
    heard = "BatchSize: 10 FunctionResponseTypes: [ReportBatchItemFailures]"
    edits = (*changed(lines, 0, len(lines), kept), Edit("infra/bin/template", heard, "BatchSize: 10"))
    what = "ReportBatchItemFailures taken out everywhere"
    return Fault("deployed:ReportBatchItemFailures", what, DEPLOYED, test, edits)


def faults(tree: Path) -> list[Fault]:
    """All faults of the template as it is."""
    lines = (tree / FILE).read_text().splitlines(keepends=True)
    return rights(lines) + switches(lines) + [unreported(lines)]
