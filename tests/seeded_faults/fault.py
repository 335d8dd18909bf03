"""One known way to break the project, and the test that has to notice."""
import re
from dataclasses import dataclass, field
from pathlib import Path

# The test targets that notice; the first is the cheapest. `local` asks for a local AWS, `deployed` for a whole stack.
CORE = ("chaski-core", "--lib")
AWS = ("chaski-aws", "--lib")
DYNAMODB = ("chaski-dynamodb", "--lib")
SIGNED = ("chaski-signed", "--lib")
HOSTILE = ("chaski-http", "--test=hostile_targets")
GUARDED = ("chaski-http", "--test=guarded")
STORE_UNITS = ("chaski-embedded", "--lib")
STORE_STORIES = ("chaski-embedded", "--test=store")
TORTURE = ("chaski-torture", "--test=power")
SECRETS = ("chaski-tests", "--test=secrets")
SIGNATURES = ("chaski-tests", "--test=signatures")
TEMPLATE = ("chaski-tests", "--test=template")
CONFORMANCE = ("chaski-tests", "--test=conformance")
DEPLOYED = ("chaski-tests", "--test=deployed")


class Moved(Exception):
    """The text that a fault changes is not where it was."""


@dataclass(frozen=True)
class Edit:
    """A change of one place in a file."""

    file: str
    find: str
    replace: str

    def place(self, tree: Path) -> tuple[str, int, int]:
        """The file's text, and from where to where. How the code is broken into lines does not matter."""
        path = tree / self.file
        text = path.read_text() if path.exists() else ""
        found = list(re.finditer(loosely(self.find), text))
        if len(found) != 1:
            raise Moved(f"{self.file}: found {len(found)} times, and not once: {self.find.strip()}")
        return text, *found[0].span()

    def apply(self, tree: Path) -> int:
        """Changes the file, and says in which line."""
        text, start, end = self.place(tree)
        (tree / self.file).write_text(text[:start] + self.replace + text[end:])
        return text.count("\n", 0, start) + 1


@dataclass(frozen=True)
class Fault:
    """Edits that belong together, and what has to fail then."""

    name: str
    what: str
    suite: tuple[str, str]
    test: str
    edits: tuple[Edit, ...] = field(default_factory=tuple)


def loosely(text: str) -> str:
    """A pattern for the text that allows other line breaks, and the comma that a formatter puts before a bracket."""
    tokens = re.findall(r"\w+|[^\w\s]", text)
    pattern, before = "", ""
    for token in tokens:
        if before:
            both_words = before[-1].isalnum() and token[0].isalnum()
            pattern += r"\s+" if both_words else r"\s*"
        if token in ")]}":
            pattern += r",?\s*"
        pattern += re.escape(token)
        before = token
    return pattern
