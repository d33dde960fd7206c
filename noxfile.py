"""Checks that need an environment of their own. `nox --list` names them, CONTRIBUTING.md explains.

`make lint` and `make test` use .venv; each session here has its own environment in .nox, made the
first time and then kept. What follows `--` goes to pytest: `nox -s bare -- -k filesystem -x`.
"""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "bare", "tests"]
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"

PROJECT = nox.project.load_toml("pyproject.toml")
COOKBOOK = Path("examples/cookbook")
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
# The extra lz4 has to be compiled here: the index has no wheel of it.
WITHOUT_LZ4 = ["3.15"]
EVERYTHING = ".[all,lz4]"
OF_STORES = ("aws_s3", "azure_blob", "gcs", "sftp")
WITHOUT_SERVERS = [f"--ignore=tests/providers/{name}" for name in OF_STORES]
WITHOUT_SERVERS += ["-m"]
# The markers of tests that need a server, or 1.6.
SERVERS = ("s3", "azure", "gcs", "sftp", "old")
# As `make test` has them, in two processes, each with servers of its own.
WITH_SERVERS = ["--numprocesses", "2", "--max-worker-restart", "0"]
WITH_SERVERS += ["--dist", "loadscope", "--no-loadscope-reorder", "-m"]


IN_MEMORY = """
import cshelve
with cshelve.open("memory://notes") as db:
    db["greeting"] = {"hello"}
    assert db["greeting"] == {"hello"}
"""


def packages_of(*groups: str) -> tuple[str, ...]:
    """Return what the dependency groups of pyproject.toml list."""
    return nox.project.dependency_groups(PROJECT, *groups)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and imports, also of the documentation; `make lint` runs this in .venv."""
    session.install("--editable", EVERYTHING, *packages_of("dev"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("basedpyright", "--level", "error")
    session.run("lint-imports", "--no-logo")
    session.run("pytest", "--quiet", "tests/examples_in_docs.py")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests that need no server, with all extras, on each Python that is installed."""
    without_lz4 = session.python in WITHOUT_LZ4
    session.install(".[all]" if without_lz4 else EVERYTHING, *packages_of("test"))
    markers = (*SERVERS, "lz4") if without_lz4 else SERVERS
    needs_no_server = " and ".join(f"not {marker}" for marker in markers)
    session.run("pytest", *WITHOUT_SERVERS, needs_no_server, *session.posargs)


@nox.session
def bare(session: nox.Session) -> None:
    """Install a wheel without extras, and run what needs none of them."""
    session.install(".", *packages_of("test"))
    markers = (*SERVERS, "encryption", "compression", "lz4", "msgpack")
    needs_nothing = " and ".join(f"not {marker}" for marker in markers)
    arguments = ["--ignore", "tests/cli", *WITHOUT_SERVERS, needs_nothing, *session.posargs]
    session.run("pytest", *arguments)


@nox.session
def oldest(session: nox.Session) -> None:
    """Run the core of the S3 tests with the oldest boto3 that is allowed."""
    session.install(EVERYTHING, "boto3==1.36.0", *packages_of("test", "servers"))
    chosen = session.posargs or [
        "tests/providers/aws_s3/test_spec.py",
        "tests/providers/aws_s3/engine",
        "tests/providers/aws_s3/large_values",
    ]
    session.run("pytest", *WITH_SERVERS, "not old", *chosen)


@nox.session
def example(session: nox.Session) -> None:
    """Install a provider of another package, and see that a configuration can name it."""
    session.install(".", "./examples/provider", *packages_of("test"))
    session.run("pytest", "-p", "no:cacheprovider", "examples/provider", *session.posargs)


@nox.session
def science(session: nox.Session) -> None:
    """Run the tests of `unpickle_only` with numpy and pandas."""
    session.install(".", "numpy", "pandas", *packages_of("test"))
    session.run("pytest", "tests/values/test_unpickle_numpy.py", *session.posargs)


@nox.session
def cookbook(session: nox.Session) -> None:
    """Run the programs of the cookbook with the frameworks that they use, and check their types."""
    session.install(".[all]", *packages_of("test", "servers", "cookbook"))
    # The release that a recipe moves from.
    session.run("make", "--quiet", ".venv-1.x/.ready", external=True)
    # Named one by one: the folder is left out of what mypy looks for.
    session.run("mypy", *map(str, sorted(COOKBOOK.rglob("*.py"))))
    session.run("pytest", "-p", "no:cacheprovider", str(COOKBOOK), *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """Run the tests of `cshelve.ray` on a real Ray, which starts processes on this machine."""
    session.install(".[ray,aws-s3]", *packages_of("test", "servers"))
    chosen = session.posargs or ["tests/cluster/test_ray.py", "tests/cluster/test_without_ray.py"]
    session.run("pytest", *chosen)


@nox.session
def torch(session: nox.Session) -> None:
    """Run the tests of `cshelve.torch` with PyTorch, whose workers are forked and spawned."""
    # Exactly this one: on Linux, others may bring gigabytes for graphics cards.
    session.install(".[aws-s3]", "torch==2.13.0", "numpy", *packages_of("test", "servers"))
    chosen = ["tests/cluster/test_torch_loader.py", "tests/cluster/test_torch.py"]
    session.run("pytest", *(session.posargs or chosen))


@nox.session
def docs(session: nox.Session) -> None:
    """Check the documentation: links, code, examples, options, and the table of requests."""
    session.install(EVERYTHING, *packages_of("lint", "test", "servers"))
    session.run(
        "pytest",
        "tests/test_docs.py",
        "tests/examples_in_docs.py",
        "tests/behaviour/test_examples.py",
        "tests/behaviour/test_pages.py",
        "tests/config/test_reference.py",
        "tests/providers/aws_s3/test_request_counts.py",
        *session.posargs,
    )


@nox.session
def site(session: nox.Session) -> None:
    """Build the site of the documentation in build/site; a warning, such as a dead link, fails."""
    session.install(".[all]", *packages_of("docs"))
    options = ["--fresh-env", "--fail-on-warning", "--keep-going", "--quiet"]
    session.run("sphinx-build", *options, "docs", "build/site", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel and the sdist, compare their files with git's, and install both."""
    session.install("build", "twine", *PROJECT["build-system"]["requires"])
    dist = Path("build/dist")
    shutil.rmtree(dist, ignore_errors=True)
    # The sdist, and from it the wheel; then the wheel that users of a checkout install.
    build = ["python", "-m", "build", "--no-isolation", "--outdir"]
    session.run(*build, str(dist))
    session.run(*build, str(dist / "from-tree"), "--wheel")
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    session.run("python", "-m", "tools.distributions", str(dist))
    for file in (sdist, wheel):
        use(session, file)


def use(session: nox.Session, file: Path) -> None:
    """Install a wheel or an sdist in an environment of its own, and use a shelf and the command."""
    folder = Path(session.create_tmp(), file.name)
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "venv", "--without-pip", str(folder))
    commands = folder.resolve() / "bin"
    python = str(commands / "python")
    pip = ["python", "-m", "pip", "--python", python]
    session.run(*pip, "install", "--quiet", str(file))
    installed = session.run(*pip, "list", "--format", "freeze", silent=True)
    if str(installed).split() != [f"cshelve=={PROJECT['project']['version']}"]:
        session.error(f"{file.name} installs more than itself: {installed}")
    session.run(python, "-W", "error", "-c", IN_MEMORY, external=True)
    session.run(*pip, "install", "--quiet", f"{file}[cli]")
    cshelve, shelf = str(commands / "cshelve"), f"file://{folder.resolve()}/notes"
    session.run(cshelve, "put", "--create", shelf, "greeting", "hello", external=True)
    session.run(cshelve, "get", shelf, "greeting", external=True)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the whole suite with the engine that cshelve chooses, and print what it did not reach."""
    session.install("--editable", EVERYTHING, *packages_of("test", "servers", "others", "coverage"))
    session.run("coverage", "erase")
    # It counts the modules that an interpreter imports; coverage itself imports some of them.
    counts_modules = "tests/test_package.py::test_neither_importing_it_nor_a_shelf_in_memory"
    arguments = [*WITH_SERVERS, "not old", "--deselect", counts_modules, *session.posargs]
    # A traced test may be too slow for its deadline. Which ones pass is for `make test` to say.
    session.run("coverage", "run", "-m", "pytest", *arguments, success_codes=[0, 1])
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
