"""The `workshop` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from workshop.course import lessons
from workshop.course.fences import LessonError
from workshop.course.lessons import Lesson
from workshop.course.replay import replay
from workshop.errors import UserError
from workshop.learner.workspace import Workspace
from workshop.terminal import say, together, wrapped


class LessonName(click.ParamType):
    """A lesson's folder, such as 300/300/100."""

    name = "lesson"

    def convert(self, value, param, ctx):
        try:
            return value if isinstance(value, Lesson) else lessons.find(value)
        except LessonError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        return [CompletionItem(x.name, help=x.title) for x in lessons.lessons() if x.name.startswith(incomplete)]


class ProgramName(click.ParamType):
    """The name of a program that runs beside the app, such as jaeger."""

    name = "program"

    def convert(self, value, param, ctx):
        from workshop.programs.program import find

        try:
            return find(value).name
        except UserError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        from workshop.programs.program import programs

        return [CompletionItem(name, help=x.title) for name, x in programs().items() if name.startswith(incomplete)]


class Weights(click.ParamType):
    """Names with a whole number each, such as reader=6,planner=2."""

    name = "name=number,…"

    def __init__(self, names: Iterable[str]):
        self.names = tuple(names)

    def convert(self, value, param, ctx):
        found = {}
        for part in value.split(",") if isinstance(value, str) else ():
            name, _, number = part.partition("=")
            if name not in self.names or not number.isdecimal():
                self.fail(
                    f"{part!r} is not one of {', '.join(self.names)} with = and a whole number, such as reader=6", param, ctx
                )
            found[name] = int(number)
        if isinstance(value, str) and not sum(found.values()):
            self.fail("all weights are 0, so nobody would come", param, ctx)
        return found or value


class OneRequest(click.ParamType):
    """A method, a path and perhaps a form, such as POST /add text=Milk."""

    name = "request"

    def convert(self, value, param, ctx):
        method, _, rest = value.partition(" ")
        path, _, form = rest.partition(" ")
        if not method.isalpha() or not path.startswith("/"):
            self.fail(f"{value!r} is not a method and a path, such as 'POST /add text=Milk'", param, ctx)
        return method.upper(), path, form


class Header(click.ParamType):
    """A header's name and value."""

    name = "name: value"

    def convert(self, value, param, ctx):
        name, colon, content = value.partition(":")
        if not colon or not name.strip():
            self.fail("a header is a name, a colon and a value, such as 'Accept: text/html'", param, ctx)
        return name.strip(), content.strip()


LESSON, PROGRAM, SHARE = LessonName(), ProgramName(), click.FloatRange(0, 1)
TEXT_FILE = click.File("w", encoding="utf-8", lazy=True)
AUTHORS = "For authors"
OF_A_DIFF = {"-": "red", "+": "green", "@": "cyan"}


class Help(click.HelpFormatter):
    """A help in which no `command` is parted."""

    def write_text(self, text):
        super().write_text(together(text))

    def write_dl(self, rows, *more, **options):
        super().write_dl([(name, together(about)) for name, about in rows], *more, **options)

    def getvalue(self):
        return super().getvalue().replace("\N{NO-BREAK SPACE}", " ")


class Context(click.Context):
    formatter_class = Help


class Command(click.Command):
    """A command that the help lists in a section."""

    context_class = Context

    def __init__(self, *about, section: str = "Commands", **options):
        super().__init__(*about, **options)
        self.section = section


class Commands(click.Group):
    """Lists its commands by section, in the order in which they stand here. A user's mistake is one message, no traceback."""

    context_class = Context
    command_class = Command

    def list_commands(self, ctx):
        return list(self.commands)

    def format_commands(self, ctx, formatter):
        widest = max(map(len, self.commands))
        for section in dict.fromkeys(command.section for command in self.commands.values()):
            with formatter.section(section):
                formatter.write_dl(
                    (name.ljust(widest), command.get_short_help_str(formatter.width))
                    for name, command in self.commands.items()
                    if command.section == section
                )

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(_message(str(error))) from None
        except click.UsageError as error:
            raise click.UsageError(_message(error.format_message()), error.ctx) from None
        except KeyboardInterrupt:
            say("\nStopped.", to_stderr=True)
            ctx.exit(130)


def _message(text: str) -> str:
    """A text as it stands behind the "Error: " that click prints."""
    return wrapped(text, "Error: ").removeprefix("Error: ")


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "WORKSHOP"},
)
@click.version_option(package_name="flask-opentelemetry-workshop", prog_name="workshop")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Build a to-do app with Flask, and prove with its own telemetry what it does.

    Without a command: the map of all lessons, what you have done, and the next step.
    """
    ctx.color = False if os.environ.get("NO_COLOR") else None
    if ctx.invoked_subcommand is None:
        show_map()


def show_map() -> None:
    """Print chapters and lessons with minutes and marks, and the next step."""
    progress = Workspace().progress()
    everything = lessons.lessons()
    done = [lesson for lesson in everything if lesson.name in progress["done"]]
    minutes = sum(lesson.minutes for lesson in everything if lesson not in done)
    pages = {f.relative_to(lessons.ROOT).as_posix(): lessons.title(f / "README.md") for f in lessons.chapters()}
    for name, item in sorted([*pages.items(), *((lesson.name, lesson) for lesson in everything)]):
        if isinstance(item, str):
            say(("\n" if "/" not in name else "") + click.style(f"  {name:<12}{item}", bold=True))
        else:
            mark = " "
            if item in done:
                mark = click.style("✓", fg="green")
            elif item.name == progress["current"]:
                mark = click.style("→", fg="yellow")
            say(f"{mark} {item.name:<12}{item.title:<50}{item.minutes:>4} min")
    say(f"\n{len(done)} of {len(everything)} lessons done, about {minutes / 60:.1f} hours to go.")
    say(_next_step(everything, progress))


def _next_step(everything: list[Lesson], progress: dict) -> str:
    left = [lesson for lesson in everything if lesson.name not in progress["done"]]
    if not left:
        return "Every lesson is done."
    current = next((lesson for lesson in left if lesson.name == progress["current"]), None)
    if current:
        return f"You are in {current.name} {current.title}: read {current.name}/README.md, then `workshop check`."
    after = next((lesson for lesson in left if lesson.name > (progress["current"] or "")), left[0])
    return f"Next: `workshop start {after.name}`, then read {after.name}/README.md."


@main.command()
@click.option("--beside", is_flag=True, envvar="WORKSHOP_BESIDE", help="Take another port although 5001 is free.")
def demo(beside: bool) -> None:
    """Run the finished app with Jaeger, and draw its first trace.

    It is a fresh copy of the finished app: your src/ is not touched. In a terminal it goes on until Ctrl-C.

    Example: workshop demo
    """
    from workshop.checks.process import keep_children_interruptible
    from workshop.scenarios import demo
    from workshop.setup.commands import end_by_signals

    end_by_signals()
    keep_children_interruptible()
    demo.show(say, stay=sys.stdin.isatty() and sys.stdout.isatty(), beside=beside)


@main.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Say whether this machine is ready, and what to do if not.

    The answer for each part begins with ok; with note, where something differs and no lesson stops; or with fix, where one does.
    The exit status is 0 when nothing is to fix.

    Example: workshop doctor
    """
    from workshop.doctor import report

    ctx.exit(report.main(click.style, say))


@main.command()
@click.argument("lesson", type=LESSON, required=False)
def start(lesson: Lesson | None) -> None:
    """Make src/ what it is when LESSON begins.

    What you had is copied to .saved/ first; `workshop undo` brings it back.
    Your database in src/instance/ stays as it is.

    Example: workshop start 300/300/100
    """
    if not lesson:
        raise UserError(f"which lesson? {_next_step(lessons.lessons(), Workspace().progress())}")
    kept = Workspace().start(lesson)
    say(f"src/ is what it is when {lesson.name} begins: {lesson.title}.")
    _say_kept(kept)
    _say_earlier_packages(lesson)
    say(f"Now read {lesson.name}/README.md.")


@main.command()
@click.argument("lesson", type=LESSON, required=False)
@click.option("--at", type=click.Choice(["mine", "end", "start"]), default="mine", help="Whose code: yours, or the lesson's.")
@click.pass_context
def check(ctx: click.Context, lesson: Lesson | None, at: str) -> None:
    """Check your src/ against LESSON, and say what is missing.

    Your files, your database and your running app are not touched: the check runs a copy on ports of its own.
    Without LESSON: the one that you started last. `pytest 300/300/100` does the same.

    Example: workshop check 300/300/100
    """
    from workshop.learner.reporter import run

    lesson = lesson or _current()
    code = run(lesson, at)
    if code == 0 and at == "mine":
        say(_next_step(lessons.lessons(), Workspace().progress()))
    ctx.exit(code)


@main.command()
@click.argument("lesson", type=LESSON, required=False)
def watch(lesson: Lesson | None) -> None:
    """Check LESSON at every save, and go on when it is green.

    A save anywhere in src/ counts. When the check is green it goes on to the next lesson: your src/ goes along as it is, and
    only what that lesson hands over is added. Ctrl-C stops.
    Without LESSON: the one that you started last.

    Example: workshop watch
    """
    from workshop.learner import watch

    watch.watch(lesson or _current(), say)
    say(_next_step(lessons.lessons(), Workspace().progress()))


@main.command()
@click.argument("lesson", type=LESSON, required=False)
def diff(lesson: Lesson | None) -> None:
    """Show what is still between your src/ and the end of LESSON.

    A line with - is only yours, a line with + is only the lesson's. Authors can paste it as ```diff blocks.

    Example: workshop diff 300/300/100
    """
    from workshop.course.difference import between

    lesson = lesson or _current()
    text = between(Workspace().differences(replay(lesson)))
    for line in text.splitlines():
        click.secho(line, fg=OF_A_DIFF.get(line[:1]), bold=line.startswith("src/"))  # as it is
    if not text:
        say(f"Nothing: your src/ is what it is when {lesson.name} ends.")


@main.command()
@click.argument("lesson", type=LESSON, required=False)
def solve(lesson: Lesson | None) -> None:
    """Make src/ what it is when LESSON ends.

    Without LESSON: the one that you started last. What you had is kept, as with `start`.

    Example: workshop solve 300/300/100
    """
    lesson = lesson or _current()
    kept = Workspace().solve(lesson)
    say(f"src/ is what it is when {lesson.name} ends: {lesson.title}.")
    _say_kept(kept)
    if kept:
        say(f"See what changed: `diff -ru {kept.relative_to(lessons.ROOT)} src`.")
    say(f"Check it: `workshop check {lesson.name}`.")


@main.command()
def undo() -> None:
    """Take the last `start`, `solve` or `undo` back.

    Example: workshop undo
    """
    from workshop.scenarios.clinic import Clinic

    back, kept = Workspace().undo()
    root = lessons.ROOT
    say(
        f"src/ is again what {back.relative_to(root)}/ kept. What was there is in {kept.relative_to(root)}/; undo again to swap."
    )
    if Clinic().give_up():
        say("The fault of the clinic is out of it, and given up. The next: `workshop break`")


def _say_earlier_packages(lesson: Lesson) -> None:
    """Say what who jumps to a lesson has not installed yet. What the lesson itself needs is on its page."""
    from workshop.course.pins import BASE, compared

    packages = compared(lesson, Path(sys.prefix))
    earlier = [name for name in packages.absent if packages.by[name] != f"{lesson.name}/{BASE}"] if packages.installed else []
    for file, cure in {packages.by[name]: packages.cure(name) for name in earlier}.items():
        who = "Packages of every lesson" if file == BASE else f"Packages that {file.removesuffix(f'/{BASE}')} installs"
        say(f"{who} are missing here, and src/ needs them from here on, too: `{cure}`.")


def _say_kept(kept: Path | None) -> None:
    if kept:
        say(f"What you had is in {kept.relative_to(lessons.ROOT)}/; `workshop undo` brings it back.")
    else:
        say("It already was; nothing had to change.")


def _current() -> Lesson:
    name = Workspace().progress()["current"]
    if not name:
        raise click.UsageError("which lesson? Name one, such as 300/300/100, or begin one with `workshop start`.")
    return lessons.find(name)


@main.command()
@click.argument("program", type=PROGRAM, nargs=-1)
def up(program: tuple[str, ...]) -> None:
    """Start what your lesson needs, or PROGRAM, in the background.

    In every lesson that is Jaeger; later ones name others. Each comes by the first way that works here: the address in a
    setting (JAEGER_URL), one that already answers, Docker, one that is on this machine, the official archive, a build by Go.
    One whose configuration has changed since is started anew.

    \b
    Examples:
      workshop up
      workshop up prometheus logs
    """
    from workshop.diagnosis.collector import refusal
    from workshop.programs import lifecycle
    from workshop.programs.instance import ProgramError

    try:
        # A check of an earlier lesson runs the command of its page, and needs no more than that lesson did.
        lifecycle.up(program, os.environ.get("WORKSHOP_LESSON") or Workspace().progress()["current"], say)
    except ProgramError as error:
        raise (error.program and refusal(error.program, error.log)) or error from None


@main.command()
@click.argument("program", type=PROGRAM, nargs=-1)
def down(program: tuple[str, ...]) -> None:
    """Stop what `workshop up` started, or only PROGRAM of it.

    Example: workshop down
    """
    from workshop.programs import lifecycle

    lifecycle.down(program, say)


@main.command(context_settings={"allow_interspersed_args": False})
@click.argument("tool")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def tool(tool: str, arguments: tuple[str, ...]) -> None:
    """Run a TOOL of one of the programs, such as promtool.

    It is brought to this machine where it is missing.

    \b
    Examples:
      workshop tool promtool check config src/otel/prometheus.yml
      workshop tool otelcol-contrib validate --config=src/otel/collector.yaml
    """
    from workshop.programs.methods import obtain
    from workshop.programs.program import with_tool

    executable = obtain(with_tool(tool), lambda line: say(line, to_stderr=True)).with_name(tool)
    os.execv(executable, [tool, *arguments])


@main.command()
@click.option("--export", is_flag=True, help="Print what you have done as one line of JSON, for who looks after a class.")
def status(export: bool) -> None:
    """Say which programs run, how they came, and where they are.

    \b
    Examples:
      workshop status
      workshop status --export
    """
    if export:
        click.echo(Workspace().exported())  # as it is
        return
    from workshop.programs import lifecycle

    for name, value in lifecycle.status():
        say(f"{name:<18}{value}")


@main.command()
@click.argument("trace_id", required=False)
@click.option("--log", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read a console log, not Jaeger.")
@click.option("--service", default="todo", show_default=True, help="Whose newest trace, when no id is given.")
@click.option("--name", default="", help="The newest trace that has a span of this name.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture to this file.")
def trace(trace_id: str | None, log: Path | None, service: str, name: str, svg: Path | None) -> None:
    """Draw the trace of TRACE_ID, or the newest, against time.

    \b
    Examples:
      workshop trace
      workshop trace --name "POST /add"
      workshop trace 4bf92f3577b34da6a3ce929d0e0e4736
      workshop trace --log src/output.log
      workshop trace --svg trace.svg
    """
    from rich.console import Console

    from workshop.programs import traces
    from workshop.telemetry import waterfall

    spans = traces.find(trace_id, log, service, name)
    if svg:
        svg.write_text(waterfall.svg(spans), encoding="utf-8")
        say(f"{svg}: trace {spans[0].trace_id}, {len(spans)} spans")
    else:
        waterfall.terminal(spans, Console(highlight=False))


@main.command()
@click.option("--url", default="http://localhost:5001", show_default=True, help="Where the app is.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=5, show_default=True, help="Visits a second.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=20, show_default=True, help="How long they come.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same number is the same plan.")
@click.option(
    "--mix",
    type=Weights(["reader", "searcher", "planner"]),
    default="reader=6,searcher=2,planner=2",
    show_default=True,
    help="Who comes, by weight.",
)
@click.option("--errors", type=SHARE, default=0, help="The share of visits for which saving a task fails, such as 0.1.")
@click.option("--slow", type=SHARE, default=0, help="The share of visits for which saving a task is slow.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    default=lessons.ROOT / "src/instance/todo.db",
    help="The app's database, for errors and slow visits (default: src/instance/todo.db).",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print each request that was sent, its answer, its trace, and how late it was."
)
def traffic(
    url: str, rate: float, seconds: float, seed: int, mix: dict, errors: float, slow: float, database: Path, as_json: bool
) -> None:
    """Send users to the running app, who never wait for each other.

    A visit comes when its time has come, however slow the app is just then. Readers open the list, searchers search, and planners
    add a task, tick it off and delete it. Each request begins a trace of its own. Ctrl-C ends it early.

    \b
    Examples:
      workshop traffic
      workshop traffic --rate 20 --seconds 60 --errors 0.05
    """
    from workshop.scenarios import traffic

    traffic.main(url, traffic.plan(rate, seconds, seed, errors, slow, mix), database if errors or slow else None, as_json)


@main.command()
@click.option("--modes", default="off,agent,code,simple,console,otlp,all", show_default=True, help="Which rows, in this order.")
@click.option("--rate", type=click.FloatRange(1), default=30, show_default=True, help="Requests a second of the fixed part.")
@click.option("--seconds", type=click.FloatRange(0.2), default=4, show_default=True, help="How long the fixed part takes.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="How often; the best of them counts.")
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="Write the table to this file, as JSON.")
@click.option(
    "--read", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Show a kept table, and measure nothing."
)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture of it to this file.")
def cost(modes: str, rate: float, seconds: float, rounds: int, keep: Path | None, read: Path | None, svg: Path | None) -> None:
    """Measure what telemetry costs your app, mode by mode.

    A copy of src/ is served by `sh modes.sh MODE`, and readers come to it: at a fixed rate first, then at the highest rate at which
    99 % of them wait at most 100 ms. Nothing else should run meanwhile. It takes about five minutes.

    \b
    Examples:
      workshop cost
      workshop cost --modes off,otlp --keep mine.json
      workshop cost --read mine.json --svg mine.svg
    """
    from workshop.checks.checkpoint import Checkpoint
    from workshop.scenarios import cost

    if strange := [mode for mode in modes.split(",") if mode not in cost.MODES]:
        raise UserError(f"`--modes {modes}`: {strange[0]!r} is no mode. There are {', '.join(cost.MODES)}.")
    lesson = lessons.find("300/900/300")
    make = lambda folder: Checkpoint(lesson, "mine", folder, lambda name: None)  # noqa: E731
    table = cost.Table.read(read) if read else cost.measure(make, modes.split(","), rate, seconds, rounds, say)
    cost.main(table, keep, svg)


@main.command()
@click.argument("name", required=False)
@click.option("--log", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A console log.")
def metrics(name: str | None, log: Path) -> None:
    """List what an app counted and measured, by its console log.

    One line for each metric. With NAME: each series of the metrics whose name begins so, with what it came to by the last export.

    \b
    Examples:
      workshop metrics --log src/output.log
      workshop metrics --log src/output.log http.server
    """
    from workshop.telemetry import table
    from workshop.telemetry.console import read_console

    found = read_console(log.read_text(encoding="utf-8", errors="replace")).metrics
    if not any(metric.name.startswith(name or "") for metric in found):
        raise UserError(
            f"{log} has no metric"
            + (f" whose name begins with {name!r}" if name else "")
            + ". Metrics leave once a minute, and when the app stops: stop it with Ctrl-C, and try again."
        )
    for line in table.series(found, name) if name else table.overview(found):
        say(line)


@main.command()
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=lessons.ROOT / "src/otel",
    help="Where dashboards/ and grafana/ are (default: src/otel).",
)
@click.pass_context
def panels(ctx: click.Context, folder: Path) -> None:
    """Ask the stores what each panel of your boards asks for.

    The boards are dashboards/*.json, the stores are those of grafana/datasources. A window that Grafana would choose is five
    minutes. The exit status is 1 when a panel gets no answer.

    Example: workshop panels
    """
    from workshop.scenarios import boards

    empty = False
    for panel, told, answered in boards.rows(folder):
        say(click.style(f"{'✓' if answered else '✗'} {panel.title:<22}", fg="green" if answered else "red") + told)
        empty |= not answered
    ctx.exit(1 if empty else 0)


@main.command()
@click.option("--name", default="", help="Whose it is; without it no name stands there.")
@click.option("--svg", type=TEXT_FILE, help="Write it as a picture to this file.")
@click.option("--html", type=TEXT_FILE, help="Write it as a page to print to this file.")
def certificate(name: str, svg: TextIO | None, html: TextIO | None) -> None:
    """Show which lessons you have proved, when, and by which trace.

    Nobody supervised it, and it says so.

    \b
    Examples:
      workshop certificate
      workshop certificate --name "Ada Lovelace" --html mine.html
    """
    from workshop.learner import certificate

    made = certificate.of(Workspace(), name)
    for file, draw in ((svg, certificate.svg), (html, certificate.page)):
        if file:
            file.write(draw(made))
            say(f"{file.name}: {made.summary}")
    if not svg and not html:
        for line in certificate.lines(made):
            click.echo(line)  # as it is
        say(f"\n{made.summary}")


@main.command()
@click.argument("lesson", type=LESSON, required=False)
@click.option("--answers", type=click.File("rb"), help="Answer from a file (- is standard input): one letter a line.")
@click.option("--again", is_flag=True, help="Forget what you answered, and start over.")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ask about the newest trace of a console log, not of Jaeger.",
)
@click.pass_context
def quiz(ctx: click.Context, lesson: Lesson | None, answers: BinaryIO | None, again: bool, log: Path | None) -> None:
    """Answer the questions of LESSON, one at a time.

    A wrong choice is answered by why. Ctrl-C stops, and the next time goes on where you stopped. Without LESSON: the one that you started last.

    \b
    Examples:
      workshop quiz 100/200
      workshop quiz 100/200 --answers answers.txt
    """
    from workshop.learner.quiz import Quiz, read_answers, take

    quiz = Quiz(lesson or _current())
    quiz.begin(again, log)
    if answers is None and not sys.stdin.isatty():
        answers = sys.stdin.buffer
    given = read_answers(answers.read(100_000), getattr(answers, "name", "<stdin>"), quiz.questions) if answers else None
    ctx.exit(0 if take(quiz, given) else 1)


@main.command("break")
@click.option("--seed", type=int, help="The same number is the same fault for everybody; the next time the next one.")
@click.option("--level", type=click.Choice(["easy", "normal", "hard"]), help="Only faults of this level.")
@click.option("--hint", is_flag=True, help="Say a little more about the fault. It costs nothing, and is counted.")
@click.option(
    "--name", is_flag=False, flag_value="?", help="Name the cause: a letter, or nothing to be asked.", metavar="[a-d]"
)
@click.option("--list", "listed", is_flag=True, help="All faults with their causes, for instructors after the class.")
@click.pass_context
def break_(ctx: click.Context, seed: int | None, level: str | None, hint: bool, name: str | None, listed: bool) -> None:
    """Put a fault into src/, to be found, named and cured.

    What you had is copied to .saved/ first; `workshop undo` gives up and brings it back. You are told what somebody complains of,
    and no more. Without a seed it is a fault that you have not met yet.

    \b
    Examples:
      workshop break --level easy
      workshop break --seed 7
      workshop break --hint
      workshop break --name
    """
    from workshop.checks.process import keep_children_interruptible
    from workshop.scenarios import clinic
    from workshop.setup.commands import end_by_signals

    end_by_signals()
    keep_children_interruptible()
    at = clinic.Clinic()
    if listed:
        for fault in at.order(seed, level) if seed is not None else at.faults.values():
            if level in (None, fault.level):
                say(f"{fault.name:<22}{fault.level:<8}{fault.stage:<14}{fault.lesson}")
                say(wrapped(fault.cause, " " * 4, " " * 4))
    elif hint:
        say(at.hint())
    elif name:
        ctx.exit(0 if clinic.name(at, None if name == "?" else name) else 1)
    else:
        clinic.show(*at.break_(seed, level, say))


@main.command()
@click.option("--seed", type=int, help="Begin the incident of this number: the same for everybody.")
@click.option("--since", metavar="TIME", help="Answer: since when, as a time of day in UTC.")
@click.option("--whom", metavar="WHOM", help="Answer: a route, a kind of user, an instance, or all.")
@click.option("--share", metavar="PERCENT", help="Answer: of all requests since then.")
@click.option("--where", metavar="LETTER", help="Answer: where the time or the error is.")
@click.option("--trace", metavar="ID", help="Answer: the trace that proves it.")
@click.option("--change", metavar="LETTER", help="Answer: what you would change.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the post-mortem to this file, as a page."
)
@click.option("--list", "listed", is_flag=True, help="All outages with their answers, for instructors after the class.")
@click.pass_context
def incident(ctx: click.Context, seed: int | None, report: Path | None, listed: bool, **answers: str | None) -> None:
    """Tell by telemetry alone what happened in the last five minutes.

    Five minutes of the app's past, with a hidden outage in them, are put into Jaeger, Prometheus and the log store, which must
    be up. Without options it shows the open incident, or begins one that you have not met yet.

    \b
    Examples:
      workshop incident --seed 1
      workshop incident --since 12:03:20 --whom "GET /" --share 40
      workshop incident --report postmortem.html
    """
    from workshop.scenarios import incident as scenario
    from workshop.setup.commands import end_by_signals

    end_by_signals()
    desk = scenario.Desk()
    given = {name: text for name, text in answers.items() if text is not None}
    if given and seed is not None:
        raise click.UsageError("--seed begins an incident; answer the open one without it")
    if report and (given or seed is not None):
        raise click.UsageError("--report is for an incident that was solved; give it alone, when all is answered")
    if listed:
        for number, outage in enumerate(scenario.OUTAGES):
            say(f"seed {number}, {number + len(scenario.OUTAGES)}, …: {outage.name}")
            say(wrapped(outage.cause, " " * 4, " " * 4))
            say(wrapped(f"whom: {' or '.join(outage.whom)}; where: {outage.where}; change: {outage.change}", " " * 4, " " * 4))
    elif given:
        ctx.exit(0 if scenario.answered(desk, given) else 1)
    elif report:
        desk.report(report)
        say(f"The post-mortem is in {report}.")
    else:
        scenario.show(desk.open if desk.open and seed is None else desk.begin(seed, say))


@main.command(context_settings={"allow_interspersed_args": False})  # what stands behind the command's first word is its own
@click.option("--folder", type=click.Path(path_type=Path), default=".", help="Where it is started (default: here).")
@click.option("--venv", type=click.Path(path_type=Path), help="Its virtual environment (default: .venv in its folder).")
@click.option("--get", "paths", multiple=True, metavar="PATH", help="What to ask for; more than once for more (default: /).")
@click.option("--send", "others", type=OneRequest(), multiple=True, help="Another request, such as 'POST /add text=Milk'.")
@click.option("--header", "headers", type=Header(), multiple=True, help="A header of each request: 'Cookie: …'.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where it listens, if it does so on several ports.")
@click.option("--otlp", type=click.IntRange(1, 65535), multiple=True, help="A port that it has in its code for telemetry.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=20, show_default=True, help="Until it must listen.")
@click.option("--signals", is_flag=True, help="Start it once more, and see what SIGTERM loses.")
@click.option("--least", type=click.FloatRange(0, 100), default=0, help="The score below which the exit status is 1.")
@click.option("--strict", is_flag=True, help="Exit status 1 also for what hides in it.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report to this file, as a page.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def examine(
    ctx: click.Context, command: tuple[str, ...], folder: Path, venv: Path | None, paths: tuple, others: tuple, headers: tuple,
    port: int, otlp: tuple, seconds: float, signals: bool, least: float, strict: bool, as_json: bool, html: Path | None,
) -> None:  # fmt: skip
    """Examine the telemetry of an app of your own.

    COMMAND starts it, in its own folder and environment; its exporters are turned to us, and nothing else. It is asked by GET,
    stopped as Ctrl-C does it, and judged: the rungs from its start to its telemetry, the Instrumentation Score, and what the
    lessons taught to look for.

    The exit status is 0 when all rungs hold and the score is not below `--least`, 1 when not, and 3 when it could not be examined.

    \b
    Examples:
      workshop examine -- opentelemetry-instrument flask run
      workshop examine --folder ../mine --get / --get /api/items -- sh run.sh
      workshop examine --least 90 --json -- gunicorn app:app
    """
    from workshop.checks.process import keep_children_interruptible
    from workshop.examine.examination import examine
    from workshop.examine.subject import Plan, found_environment
    from workshop.setup.commands import end_by_signals

    requests = tuple(("GET", path if path.startswith("/") else f"/{path}", "") for path in paths) + others
    plan = Plan(
        command,
        folder.resolve(),
        requests or Plan.requests,
        dict(headers),
        port,
        seconds,
        venv.absolute() if venv else found_environment(folder.resolve()),
    )
    if html:
        _must_be_writable(html)
    end_by_signals()
    keep_children_interruptible()
    found = examine(plan, otlp, signals, least, strict)
    from workshop.examine import report

    click.echo(report.as_json(found) if as_json else report.text(found))  # as it is
    if html:
        html.write_text(report.html(found), encoding="utf-8")
    ctx.exit(found.exit_code)


def _must_be_writable(path: Path) -> None:
    """Raises UserError where a file cannot be written, before any work is done for it."""
    try:
        path.open("a").close()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. Name a file that you may write, with `--html`.") from None


@main.command()
@click.argument("requirements", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def environment(requirements: tuple[Path, ...]) -> None:
    """Print the folder of an environment with the packages of FILEs.

    It holds what they pin and nothing else, is made at first use, and kept in your cache.
    A FILE is named as it is from the repository's root. How far it is, only a terminal is told.

    \b
    Example:
      . "$(workshop environment 300/400/600/old-requirements.txt)/bin/activate"
    """
    from workshop.setup.environments import EnvironmentFailed, environment_of

    def progress(line: str) -> None:
        if sys.stderr.isatty():  # what a script prints into a file or a pipe stays its own
            say(line, to_stderr=True)

    files = [lessons.ROOT / file for file in requirements]
    if missing := next((file for file in files if not file.is_file()), None):
        raise UserError(f"there is no file {missing}; name one as it is from {lessons.ROOT}")
    try:
        folder = environment_of(*files, progress=progress)
        click.echo(folder)  # as it is
    except EnvironmentFailed as error:
        raise UserError(str(error)) from None


@main.command(section=AUTHORS)
@click.argument("lesson", type=LESSON)
@click.pass_context
def output(ctx: click.Context, lesson: Lesson) -> None:
    """Write the output blocks of LESSON anew from a real run.

    Runs the lesson's checks at its end. What is elided with … stays elided, and what changes from run to run becomes ….

    Example: workshop output 300/300/100
    """
    from workshop.dev.contents import write_output

    ctx.exit(write_output(lesson))


@main.command(section=AUTHORS)
@click.argument("name", metavar="LESSON")
def new(name: str) -> None:
    """Make the skeleton of LESSON, red until it is written.

    Example: workshop new 300/500/100
    """
    from workshop.dev.new import make

    for path in make(name):
        say(str(path.relative_to(lessons.ROOT)))
    say(f"Write them; `pytest --at end {name}` says what is left.")


if __name__ == "__main__":
    sys.exit(main())
