"""Builds the Dockerfile's context as an engine would, and checks that it is enough for cargo and what becomes of it."""

import fnmatch
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTEXT = ROOT / "build/image-context"


def fail(message):
    sys.exit(f"image: {message}")


def instructions():
    """The Dockerfile's instructions, each a name and its words, by stage."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages = [[]]
    for line in filter(str.strip, text.splitlines()):
        name, rest = line.split(maxsplit=1)
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, rest))
    return stages


def ignored(path):
    """Whether .dockerignore leaves out a path; the last pattern that matches it, or a folder above it, decides."""
    parts = pathlib.PurePath(path).parts
    prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            if any(fnmatch.fnmatchcase(prefix, pattern.lstrip("!").rstrip("/")) for prefix in prefixes):
                out = not pattern.startswith("!")
    return out


def copies(stage):
    """Sources and destination of each COPY, and the stage that it is from."""
    for name, rest in stage:
        if name == "COPY":
            words = shlex.split(rest)
            options = [word for word in words if word.startswith("--")]
            *sources, destination = [word for word in words if not word.startswith("--")]
            yield sources, destination, dict(option[2:].split("=", 1) for option in options).get("from")


def copy_into_context(source, destination):
    """Copies what git knows of a source: an engine's context has no build output either, for that is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", source],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    files = [file for file in filter(None, listed.split("\0")) if (ROOT / file).exists() and not ignored(file)]
    if not files:
        fail(f"COPY {source}: there is no such file in the context; is it in .dockerignore?")
    for file in files:
        inside = os.path.relpath(file, source) if (ROOT / source).is_dir() else os.path.basename(file)
        alone = destination.endswith("/") or (ROOT / source).is_dir()
        target = CONTEXT / (os.path.join(destination, inside) if alone else destination)
        target.parent.mkdir(parents=True, exist_ok=True)
        # What has not changed keeps its time, so that cargo builds it once.
        if not target.exists() or target.read_bytes() != (ROOT / file).read_bytes():
            shutil.copyfile(ROOT / file, target)
        yield target


def cargo(*arguments):
    """Runs cargo in the context, into the target folder of the checkout."""
    environment = {**os.environ, "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))}
    done = subprocess.run(
        [os.environ.get("CARGO", "cargo"), *arguments], cwd=CONTEXT, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        fail(f"cargo {' '.join(arguments)} fails in the image's context; does the Dockerfile COPY all that it needs?")
    return done.stdout


def main():
    head, build, final = instructions()
    copied = {target for sources, destination, _ in copies(build) for source in sources
              for target in copy_into_context(source, destination)}
    for stale in [path for path in CONTEXT.rglob("*") if path.is_file() and path not in copied]:
        stale.unlink()
    for sources, _, stage in copies(final):
        if stage is None and any(ignored(source) or not (ROOT / source).exists() for source in sources):
            fail(f"COPY {sources}: not in the context")

    # All manifests and the lock file fit, and the sources are enough for the binary.
    package = next(
        package for package in json.loads(cargo("metadata", "--format-version=1", "--locked", "--no-deps"))["packages"]
        if package["name"] == "crossinvoke"
    )
    binary = next(target["name"] for target in package["targets"] if target["kind"] == ["bin"])
    cargo("check", "--quiet", "--locked", "--bin", binary)

    # What is built is what is copied, and that is what is run.
    run = " ".join(rest for name, rest in build if name == "RUN")
    built = re.search(rf"cargo build --release --locked --bin {binary}\b.* cp target/release/{binary} (\S+)", run)
    out = [(sources, destination) for sources, destination, stage in copies(final) if stage == "build"]
    if not built or [sources for sources, _ in out] != [[built[1]]]:
        fail(f"the final stage copies {out}, which is not what the build stage makes of target/release/{binary}")
    last = dict(final)
    if json.loads(last["ENTRYPOINT"]) != [out[0][1]]:
        fail(f"ENTRYPOINT {last['ENTRYPOINT']} is not {out[0][1]}")
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", last["USER"]):
        fail(f"USER {last['USER']}: a number other than 0, or runAsNonRoot refuses the pod")

    version = dict(rest.split("=") for name, rest in head if name == "ARG")["RUST_VERSION"]
    toolchain = re.search(r'channel = "([\d.]+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    if not f"{toolchain}.".startswith(f"{version}."):
        fail(f"RUST_VERSION={version}, but rust-toolchain.toml asks for {toolchain}")
    print("image: the context is enough for cargo, and its binary is what the image runs")


main()
