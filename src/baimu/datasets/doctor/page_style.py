"""How the doctor's page looks; it asks for nothing from outside itself."""

from __future__ import annotations

from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title – data check</title>
<style>
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #667085; --paper: #f6f7f9; --card: #fff; --rule: #e4e7ec;
  --error: #dc2626; --warning: #d97706; --note: #2563eb; --good: #15803d; --bar: #c7d7fb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --quiet: #98a2b3; --paper: #14171b; --card: #1d2127; --rule: #30363d; --error: #f87171;
    --warning: #fbbf24; --note: #7aa7ff; --good: #4ade80; --bar: #2b3f66; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
section + h1 { margin-top: 56px; }
h2 { font-size: 17px; margin: 36px 0 6px; }
p { margin: 4px 0 10px; }
code { font: 13px/1.4 ui-monospace, monospace; }
.quiet { color: var(--quiet); font-weight: 400; }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0; }
.fact, .card, .scroll, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.fact { padding: 10px 18px; min-width: 120px; }
.fact dd { margin: 0; font-size: 24px; font-weight: 650; font-variant-numeric: tabular-nums; }
.fact dt { color: var(--quiet); font-size: 13px; }
.fact.error dd { color: var(--error); }
.fact.warning dd { color: var(--warning); } .fact.note dd { color: var(--note); }
.fact.none dd { color: var(--quiet); }
.verdict { padding: 10px 16px; border-radius: 10px; border: 1px solid currentColor; font-weight: 600; }
.verdict.error { color: var(--error); } .verdict.good { color: var(--good); }
nav { padding: 8px; }
.row { display: grid; grid-template-columns: 56px minmax(0, 1fr) 180px 72px; gap: 12px; align-items: center;
  padding: 5px 10px; color: inherit; text-decoration: none; border-radius: 6px; }
.row:hover { background: var(--paper); }
.row code { font-weight: 650; } .row.error code { color: var(--error); } .row.warning code { color: var(--warning); }
.row.note code { color: var(--note); }
.row i { display: block; height: 8px; border-radius: 4px; background: var(--paper); }
.row b { display: block; height: 8px; border-radius: 4px; }
.row.error b { background: var(--error); } .row.warning b { background: var(--warning); }
.row.note b { background: var(--note); }
.row em { font-style: normal; text-align: right; font-variant-numeric: tabular-nums; }
section { scroll-margin-top: 12px; }
.badge { font: 600 13px/1 ui-monospace, monospace; color: #fff; padding: 4px 8px; border-radius: 6px;
  margin-right: 6px; }
.badge.error { background: #dc2626; } .badge.warning { background: #b45309; } .badge.note { background: #2563eb; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 12px; margin: 12px 0; }
figure { margin: 0; padding: 8px; min-width: 0; }
figure img { display: block; width: 100%; height: 180px; object-fit: contain; border-radius: 4px;
  background: var(--paper); }
figcaption { color: var(--quiet); font-size: 12px; margin-top: 6px; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--quiet); font-size: 13px; margin: 6px 0; }
.scroll { overflow: auto; max-height: 60vh; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 6px 12px; text-align: left; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: var(--card); color: var(--quiet); font-size: 13px; font-weight: 600;
  z-index: 1; }
tr:last-child td { border-bottom: 0; }
.bar { position: relative; min-width: 140px; }
.bar i { position: absolute; inset: 4px auto 4px 4px; max-width: calc(100% - 8px); background: var(--bar);
  border-radius: 4px; }
.bar span { position: relative; } .bar.zero span { color: var(--error); font-weight: 650; }
@media (max-width: 640px) { .row { grid-template-columns: 56px minmax(0, 1fr) 60px; } .row i { display: none; } }
@media print { .scroll { max-height: none; } section, figure { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="quiet">$what, $when</p>
<dl class="facts">$facts</dl>
$verdict
$index
$rules
$splits
</main>
</body>
</html>
""")
