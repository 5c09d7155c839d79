"""The report for people, for documents and for build servers. Pure."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from authz.lab.examination import Report, Result
from authz.lab.judgement import Outcome

_MARKS = {
    Outcome.PASSED: "pass",
    Outcome.FAILED: "FAIL",
    Outcome.SHORT: "short",
    Outcome.NOT_OFFERED: "-",
}


def line(result: Result) -> str:
    """One result, and where it is written if it did not pass."""
    shown = f"{_MARKS[result.outcome]:5}  {result.name:22}  {result.why}"
    if result.outcome in (Outcome.FAILED, Outcome.SHORT):
        shown += f"\n{'':31}{result.title} ({result.level}: {result.clause})"
    return shown


def summary(report: Report) -> str:
    """How many ended how, in a sentence."""
    counts = [f"{report.count(it)} {it}" for it in Outcome if report.count(it)]
    return f"{len(report.results)} scenarios: {', '.join(counts)}."


def as_markdown(report: Report) -> str:
    """A table a group, with the clause of each."""
    parts = [f"# Identity assertions at {report.issuer}", summary(report)]
    for group, results in _grouped(report):
        rows = [
            f"| {_cell(it.title)} | {it.outcome} | {it.level} | {_cell(it.clause)} | {_cell(it.why)} |"
            for it in results
        ]
        head = ["| Scenario | Outcome | Level | Clause | Seen |", "|---|---|---|---|---|"]
        parts += [f"## {group}", "\n".join([*head, *rows])]
    return "\n\n".join(parts) + "\n"


def as_junit(report: Report) -> str:
    """What build servers read: falling short is no failure, what is not offered is skipped."""
    root = Element("testsuites")
    for group, results in _grouped(report):
        suite = SubElement(
            root,
            "testsuite",
            name=group,
            tests=str(len(results)),
            failures=str(sum(it.outcome is Outcome.FAILED for it in results)),
            skipped=str(sum(it.outcome is Outcome.NOT_OFFERED for it in results)),
        )
        for result in results:
            case = SubElement(
                suite,
                "testcase",
                classname=f"lab.{group}",
                name=f"{result.name}: {result.title}",
                time=f"{result.seconds:.3f}",
            )
            told = f"{result.why} ({result.level}: {result.clause})"
            if result.outcome is Outcome.FAILED:
                SubElement(case, "failure", message=told)
            elif result.outcome is Outcome.NOT_OFFERED:
                SubElement(case, "skipped", message=told)
            elif result.outcome is Outcome.SHORT:
                SubElement(case, "system-out").text = told
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _grouped(report: Report) -> Iterator[tuple[str, Sequence[Result]]]:
    for group in dict.fromkeys(result.group for result in report.results):
        yield group, [result for result in report.results if result.group == group]


def _cell(text: str) -> str:
    """What a server said must not become markup of the document."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|")):
        text = text.replace(sign, written)
    return text
