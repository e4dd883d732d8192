"""`python -m bench charts`: the measured figures as pictures, for the documents.

Reads nothing but result files as the measurements write them, so that a chart can show no figure that was not measured.
The same files make the same bytes: no date, no random ids, and letters as outlines of the font that the library brings.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

Result = dict[str, Any]

# One picture serves light and dark pages: the ground is transparent, and these colours have a contrast of 3 or more
# on white as well as on GitHub's dark grey.
INK, OURS, OTHERS, LIMIT = "#717a86", "#2f81f7", "#8b949e", "#d9534f"

STYLE: dict[Any, Any] = {  # matplotlib's own defaults, but for these
    "svg.hashsalt": "charts",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.08,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
WIDTH_INCHES = 8.0
OFFSET = "offset points"

READ_P95_MS, READ_MAX_MS = 5.0, 10.0
FRESH_P95_SECONDS, FRESH_MAX_SECONDS = 5.0, 10.0
"""The two promises, which the charts of latencies and of freshness show next to what was measured."""


def draw_reads(found: Result, axes: Axes) -> None:
    """Draw how long reads took, by percentile, on a logarithmic scale.

    Args:
        found: as `python -m bench reader` writes it; the first latency is drawn.
        axes: where.
    """
    row = found["latency"][0]
    names = {"p50": "p50", "p95": "p95", "p99": "p99", "p999": "p99.9", "max": "max"}
    values = [row["latencyMs"][key] for key in names]
    axes.set_yscale("log")
    axes.plot(range(len(values)), values, color=OURS, marker="o", linewidth=2)
    for place, value in enumerate(values):
        axes.annotate(f"{value:g}", (place, value), xytext=(-4, 6), textcoords=OFFSET, ha="right")
    for limit, where, text in ((READ_P95_MS, 1, "promise: p95 < 5 ms"), (READ_MAX_MS, 4, "promise: max < 10 ms")):
        axes.plot([where - 0.4, where + 0.4], [limit, limit], color=LIMIT, linewidth=2)
        axes.text(where - 0.45, limit, text, ha="right", va="center", color=LIMIT)
    axes.set_xticks(range(len(values)), list(names.values()))
    axes.set_xlim(-0.75, len(values) - 0.4)
    axes.set_ylim(0.1, 100)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("ms")
    axes.set_title(
        f"Reads: {row['answered']:,} at {row['rate']:,.0f}/s with {row['updatesPerSecond']:,} updates/s;"
        f" {row['over10Ms']} over 10 ms",
        loc="left",
    )


def draw_capacity(found: Result, axes: Axes) -> None:
    """Draw how many requests a second each service answers on one core.

    Args:
        found: as `python -m bench reader` writes it, with its part `capacity`.
        axes: where.
    """
    rows = sorted(found["capacity"], key=lambda row: row["rate"])
    colours = [OURS if row["name"] == "this reader" else OTHERS for row in rows]
    _bars(axes, [row["name"] for row in rows], [row["rate"] for row in rows], colours)
    axes.set_title("Reads: requests per second, one core for each service", loc="left")


def draw_throughput(found: Result, axes: Axes) -> None:
    """Draw how many rows a second the joiner and its peer join while they catch up.

    Args:
        found: as `python -m bench joiner throughput` writes it.
        axes: where.
    """
    rows = found["medians"][::-1]
    programs = [row["program x processes"].split(" x ") for row in rows]
    names = [
        f"joiner, {_count(number, 'process', 'processes')}"
        if program == "joiner"
        else f"{found['peer']}, {_count(number, 'thread', 'threads')}"
        for program, number in programs
    ]
    colours = [OURS if program == "joiner" else OTHERS for program, _ in programs]
    _bars(axes, names, [row["rows/s"] for row in rows], colours)
    axes.set_title(f"Joiner: rows per second, catching up on {found['rows']:,} rows", loc="left")


def draw_freshness(found: Result, axes: Axes) -> None:
    """Draw how long changes take from the database to the slower reader: p50, p95 and the longest.

    Args:
        found: as `python -m bench freshness` writes it.
        axes: where.
    """
    _ranges(axes, [(row["by"], [row["p50 s"], row["p95 s"], row["max s"]]) for row in found["rows"]], 2)
    _limits(axes, ("p95 < 5 s", FRESH_P95_SECONDS), ("max < 10 s", FRESH_MAX_SECONDS))
    axes.set_title(f"Freshness: p50, p95 and max in seconds, at {found['rate']:,.0f} changes/s", loc="left", pad=18)


def draw_faults(found: Result, axes: Axes) -> None:
    """Draw how long changes take to be seen after each kind of fault: p50 and p95.

    Args:
        found: as `python -m bench chaos` writes it.
        axes: where.
    """
    rows = sorted(found["steps"], key=lambda row: row["to fresh p50 s"])
    _ranges(axes, [(f"{row['fault']} ({row['count']})", [row["to fresh p50 s"], row["p95 s"]]) for row in rows], 1)
    _limits(axes, ("promise: max < 10 s", FRESH_MAX_SECONDS))
    axes.set_title(f"Joiner: seconds until fresh after {found['faults']} faults, p50 and p95", loc="left", pad=18)


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> None:
    axes.barh(range(len(values)), values, color=colours, height=0.62)
    for place, value in enumerate(values):
        axes.annotate(f"{value:,.0f}", (value, place), xytext=(5, 0), textcoords=OFFSET, va="center")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.12)


def _ranges(axes: Axes, rows: Sequence[tuple[str, Sequence[float]]], decimals: int) -> None:
    """Draw a line for each row from its first figure to its last, a dot at each, the first row on top.

    Args:
        axes: where.
        rows: name and figures, in ascending order.
        decimals: of the figures, which stand at the right edge.
    """
    for place, (_, values) in enumerate(reversed(rows)):
        axes.plot([values[0], values[-1]], [place, place], color=OURS, linewidth=3, solid_capstyle="round")
        axes.plot(values, [place] * len(values), color=OURS, marker="o", linestyle="none")
        shown = "   ".join(f"{value:.{decimals}f}" for value in values)
        axes.annotate(shown, (1, place), xycoords=axes.get_yaxis_transform(), ha="right", va="center")
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(0, 1.4 * max(FRESH_MAX_SECONDS, *(values[-1] for _, values in rows)))
    axes.set_xlabel("seconds")


def _limits(axes: Axes, *limits: tuple[str, float]) -> None:
    for text, limit in limits:
        axes.axvline(limit, color=LIMIT, linewidth=1.5, linestyle=(0, (4, 3)))
        top = axes.get_ylim()[1]
        axes.annotate(text, (limit, top), xytext=(0, 4), textcoords=OFFSET, ha="center", va="bottom", color=LIMIT)


def _count(number: str, one: str, many: str) -> str:
    return f"{number} {one if number == '1' else many}"


CHARTS: dict[str, tuple[str, Callable[[Result, Axes], None], float]] = {
    "reads": ("reader-updates", draw_reads, 3.4),
    "capacity": ("reader-capacity", draw_capacity, 2.3),
    "throughput": ("joiner-throughput", draw_throughput, 2.0),
    "freshness": ("freshness", draw_freshness, 2.2),
    "faults": ("chaos", draw_faults, 4.4),
}
"""Chart -> the result file that it is made of, what draws it, and its height in inches."""


def draw(name: str, results: Path, output: Path) -> Path:
    """Draw one chart as SVG; return its file.

    Args:
        name: one of CHARTS.
        results: folder of the result files.
        output: folder of the charts.
    """
    source, onto, height = CHARTS[name]
    found = json.loads((results / f"{source}.json").read_text())
    file = output / f"{name}.svg"
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        onto(found, figure.subplots())
        figure.savefig(file, transparent=True, metadata={"Date": None, "Creator": None})
    file.write_text("".join(line.rstrip() + "\n" for line in file.read_text().splitlines()))
    return file


@click.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("docs/results"),
    show_default=True,
    help="Folder of the result files.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("docs/charts"),
    show_default=True,
    help="Folder that the charts are written to.",
)
def charts(results: Path, output: Path) -> None:
    """Draw the charts of docs/performance.md out of result files."""
    output.mkdir(parents=True, exist_ok=True)
    for name in CHARTS:
        click.echo(draw(name, results, output))
