"""What the scripts of infra/ share: where things are, running commands, packages, outputs of a stack."""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAM_BIN = ROOT / ".tools" / "sam" / "bin"
MINISTACK_BIN = ROOT / ".tools" / "ministack" / "bin"
PACKAGES = ROOT / "target" / "lambda"
# The order in which versions move forward: the consumers first, so that nothing is written that nobody can read.
FUNCTIONS = ("sqs-error-consumer", "sqs-consumer", "api-ingress")

# What is shown of a log when its command failed; the failed resource stands in sam's table of events.
LOG_TAIL_LINES = 80

# What clients of the local stack sign with, and nothing of the caller's own AWS account.
LOCAL_CLIENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

# The template's parameters that hold secrets, and the environment variables that they come from.
SECRETS = {"SigningSecret": "CHASKI_SIGNING_SECRET", "SigningPrevious": "CHASKI_SIGNING_PREVIOUS"}


def need_tools() -> None:
    """Goes on under the Python that has boto3, the one of .tools/sam."""
    python = SAM_BIN / "python"
    if not python.exists():
        sys.exit(f"{python} is missing: run `make setup`")
    # The path of a virtual environment's python is a link to the system's: compare environments, not files.
    if Path(sys.prefix) != SAM_BIN.parent:
        sys.stdout.flush()
        os.execv(python, [str(python), *sys.argv])


def say(text: str) -> None:
    """Tells the person at the terminal, in order with what commands print."""
    print(text, flush=True)


def run(*command: object, env: dict | None = None, log: Path | None = None) -> None:
    """Shows a command and runs it; a failure ends the script. With a log its output goes there."""
    words = [str(word) for word in command]
    say("$ " + " ".join(words))
    env = {**os.environ, "SAM_CLI_TELEMETRY": "0", **(env or {})}
    done = subprocess.run(words, cwd=ROOT, env=env, stdout=log and log.open("wb"), stderr=log and subprocess.STDOUT)
    if done.returncode:
        if log:
            say("".join(log.read_text().splitlines(keepends=True)[-LOG_TAIL_LINES:]))
        sys.exit(f"{words[0]} ended with {done.returncode}" + (f", see {log}" if log else ""))


def config_path(default: Path) -> Path:
    """The settings file to put into the packages: CHASKI_TOML or the default."""
    return Path(os.environ.get("CHASKI_TOML") or default).resolve()


def producers_parameter(config: Path) -> str:
    """`configured` or `none`, as the template's parameter Producers wants it."""
    return "configured" if tomllib.loads(config.read_text()).get("producers") else "none"


def secret_parameters() -> dict[str, str]:
    """The secrets that the environment holds. One that is there and empty is taken from the stack; one that is not
    there stays as it is deployed."""
    return {name: os.environ[variable] for name, variable in SECRETS.items() if variable in os.environ}


@contextlib.contextmanager
def secret_overrides(secrets: dict[str, str]):
    """Words for `--parameter-overrides` of sam that name a file with the secrets, so that no list of processes shows
    them. The file is the user's alone, and gone afterwards."""
    if not secrets:
        yield []
        return
    # sam reads YAML, of which a text of JSON is one.
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.writelines(f"{name}: {json.dumps(value)}\n" for name, value in secrets.items())
        file.flush()
        yield [f"file://{file.name}"]


def fingerprints(secrets: dict[str, str]) -> dict[str, str]:
    """What tells one secret from the next and nothing about it: they are long and random."""
    return {name: hashlib.sha256(f"{name}={value}".encode()).hexdigest()[:16] for name, value in secrets.items()}


def stamp(packages: Path, config: Path, parameters: dict[str, str]) -> None:
    """Writes the settings file and release.json, the values of the parameters, beside each bootstrap.

    A version is published when the package changes. So a change of settings alone is one, too; and as the release is
    a digest of all three, the three functions always get a new version together, and go back together."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode() + config.read_bytes())
    for name in FUNCTIONS:
        if not (packages / name / "bootstrap").exists():
            sys.exit(f"{packages / name / 'bootstrap'} is missing: run infra/bin/build")
        digest.update((packages / name / "bootstrap").read_bytes())
    text = json.dumps({"release": digest.hexdigest()[:16], "parameters": parameters}, indent=2, sort_keys=True) + "\n"
    for name in FUNCTIONS:
        if config != packages / name / "chaski.toml":
            shutil.copyfile(config, packages / name / "chaski.toml")
        (packages / name / "release.json").write_text(text)


def add_stack_arguments(parser) -> None:
    """The arguments that say which stack is meant."""
    parser.add_argument("--stack", help="a stack on AWS, such as chaski-dev")
    parser.add_argument("--local", action="store_true", help="the stack that infra/local/up deployed")


def stack_of(args, parser) -> dict:
    """The stack that is meant: of AWS by its outputs, or the local one by its stack.json.

    Sets the environment of boto3 for the local one."""
    import boto3

    if args.local == bool(args.stack):
        parser.error("--stack NAME or --local")
    if args.stack:
        return describe(boto3.Session(), args.stack)
    state = Path(os.environ.get("CHASKI_LOCAL_DIR") or ROOT / ".local")
    name = os.environ.get("CHASKI_LOCAL_STACK", "chaski-local")
    file = state / name / "stack.json"
    if not file.exists():
        sys.exit(f"{file} is missing: run infra/local/up")
    stack = json.loads(file.read_text())
    os.environ.pop("AWS_PROFILE", None)
    os.environ.update(LOCAL_CLIENT, AWS_ENDPOINT_URL=stack["endpoint"], AWS_DEFAULT_REGION=stack["region"])
    return stack


def describe(session, stack: str) -> dict:
    """What is to know of a deployed stack, by its outputs."""
    found = outputs(session, stack)
    names = {"api-ingress": "ApiIngress", "sqs-consumer": "SqsConsumer", "sqs-error-consumer": "SqsErrorConsumer"}
    return {
        "endpoint": None,
        "region": session.region_name,
        "stack": stack,
        "api_url": found["ApiUrl"],
        "api_host": found["ApiUrl"].split("://", 1)[-1],
        "authorization": found["Authorization"],
        "queue_prefix": found["QueuePrefix"],
        "table": found["TableName"],
        "control_table": found["ControlTableName"],
        "bucket": found["BodiesBucketName"],
        "functions": {name: found[f"{key}Function"] for name, key in names.items()},
        "log_groups": {name: found[f"{key}LogGroup"] for name, key in names.items()},
    }


def outputs(session, stack: str) -> dict[str, str]:
    """The outputs of a deployed stack."""
    found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def machine(binary: Path) -> str:
    """The architecture a binary was built for, as the template's parameter Architecture calls it."""
    head = binary.read_bytes()[:20]
    names = {0xB7: "arm64", 0x3E: "x86_64"}  # e_machine of the ELF header
    known = head[:4] == b"\x7fELF" and names.get(int.from_bytes(head[18:20], "little"))
    return known or "an unknown machine"


def versions(client, function: str) -> list[int]:
    """The published versions of a function, oldest first."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    found = (item["Version"] for page in pages for item in page["Versions"])
    return sorted(int(version) for version in found if version != "$LATEST")


def weights(alias: dict) -> dict[str, float]:
    """The versions that get a part of an alias's traffic beside its own."""
    return (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


def move_alias(client, function: str, version: str, beside: dict[str, float]) -> None:
    """Points the alias live at a version, with weights for others beside it."""
    client.update_alias(FunctionName=function, Name="live", FunctionVersion=version,
                        RoutingConfig={"AdditionalVersionWeights": beside})


def alias_text(client, function: str) -> str:
    """Where the alias live goes, for a person."""
    alias = client.get_alias(FunctionName=function, Name="live")
    beside = "".join(f", version {version}: {weight:.0%}" for version, weight in weights(alias).items())
    return f"live is version {alias['FunctionVersion']}{beside}"
