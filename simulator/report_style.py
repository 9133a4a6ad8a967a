"""The look of our pages: one style sheet, light and dark, and the colours that pictures take of it.

`report_html`, `dashboard_html` and the page of `parity diff` put it into their head. A picture that
is also written as a file of its own names the light colour beside the page's: `SOFT`, `LINE`.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5b6b7b;--line:#d9e0e7;--paper:#ffffff;
--ground:#eef1f4;--halt:#9aa7b4;--plain:#b8c2cc;--fault:#f6c9a0;--found:#0a7d4f;--false:#c22f2f;
--signal:#3a6ea5;--score:#20303f}
@media (prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9fb0c0;--line:#33404d;
--paper:#141a21;--ground:#1f2832;--halt:#6b7a89;--plain:#63717f;--fault:#7d5330;--found:#3fc48e;
--false:#f0716f;--signal:#7fb0e3;--score:#eef3f8}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;
max-width:1100px;padding:0 1rem}h1{margin-bottom:.2rem}h2{margin:2rem 0 .4rem}
p.lead{color:var(--soft);margin-top:0}.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0}th,td{text-align:left;padding:.25rem .9rem .25rem 0;
border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap;
vertical-align:top}td.long{white-space:normal;min-width:18rem}th{color:var(--soft);
font-weight:600}.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}.tile{border:1px solid
var(--line);border-radius:8px;padding:.6rem 1rem;flex:1 1 9rem}.tile b{display:block;
font-size:1.5rem}.tile span{color:var(--soft)}figure{margin:0 0 1.4rem}figcaption{font-weight:600;
margin-bottom:.2rem}svg{width:100%;height:auto;fill:var(--ink);background:var(--paper);
border:1px solid var(--line);border-radius:6px}.found{color:var(--found)}
.standstill{color:var(--soft)}.false_alarm,.missed{color:var(--false)}
.legend span{margin-right:1.4rem}.key{display:inline-block;width:.9rem;height:.7rem;
margin-right:.35rem}details{margin:1.2rem 0}summary{font-weight:600;cursor:pointer}
"""

INK, SOFT, LINE = "var(--ink,#1d2733)", "var(--soft,#5b6b7b)", "var(--line,#d9e0e7)"
"""Of the page, or the light one where a picture stands alone."""
