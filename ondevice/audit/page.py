"""The audit as one HTML page: nothing is loaded from anywhere, and no script runs."""

from html import escape

from ondevice import __version__
from ondevice.audit.findings import Audit, Finding

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bad: #b3261e; --odd: #8a5a00;
  --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --odd: #ffcf70;
  --good: #86d9a5; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2.5rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
p.sum { margin: .25rem 0 2rem; opacity: .8; }
section { display: grid; grid-template-columns: 6.5rem 1fr; gap: 0 1rem; padding: .9rem 0;
  border-top: 1px solid var(--line); }
.status { font-weight: 600; }
.fail .status { color: var(--bad); } .warn .status { color: var(--odd); }
.pass .status { color: var(--good); } .na .status { opacity: .7; }
h2 { font: 600 1rem/1.5 ui-monospace, monospace; margin: 0; }
section p { margin: .15rem 0; overflow-wrap: anywhere; }
.about { opacity: .75; } .action { font-weight: 600; }
dl { margin: .3rem 0 0; font: .85rem/1.5 ui-monospace, monospace; opacity: .8; }
dl div { display: inline-block; margin-right: 1.5rem; } dt, dd { display: inline; margin: 0; }
dt::after { content: ": "; }
"""
_WORDS = {"fail": "✗ failed", "warn": "! note", "pass": "✓ passed", "n/a": "– not now"}
_ORDER = ("fail", "warn", "pass", "n/a")


def as_html(audit: Audit) -> str:
    """Write `audit`, what failed first."""
    counts = audit.counts()
    told = ", ".join(f"{counts[name]} {_WORDS[name][2:]}" for name in _ORDER if counts[name])
    shown = sorted(audit.findings, key=lambda one: _ORDER.index(one.status))
    kind = "quick audit, exact checks only" if audit.quick else "full audit"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Audit of ondevice-rec</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Audit of ondevice-rec</h1>
<p class="sum">{told} · {kind} · version {escape(__version__)} · made on this device</p>
{"".join(map(_section, shown))}</main>
</body>
</html>
"""


def _section(one: Finding) -> str:
    lines = [f"<h2>{escape(one.id)}</h2>", f'<p class="about">{escape(one.about)}</p>']
    lines.append(f"<p>{escape(one.evidence)}</p>")
    if one.file:
        lines.append(f"<p>In the home: {escape(one.file)}</p>")
    if one.action:
        lines.append(f'<p class="action">What to do: {escape(one.action)}</p>')
    if one.measured:
        pairs = (
            f"<div><dt>{escape(name)}</dt><dd>{escape(_number(value))}</dd></div>"
            for name, value in one.measured.items()
        )
        lines.append(f"<dl>{''.join(pairs)}</dl>")
    body = "\n".join(lines)
    style = one.status.replace("/", "")
    return (
        f'<section class="{style}">\n<div class="status">{_WORDS[one.status]}</div>\n'
        f"<div>\n{body}\n</div>\n</section>\n"
    )


def _number(value: float | str) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else f"{value}"
