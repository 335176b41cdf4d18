"use strict";
// Draws the figures of #report-data in the reader's theme, again when the theme or the width of the window changes.
(() => {
  const { figures } = JSON.parse(document.getElementById("report-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 640px)");
  let scale = "log";

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colorOf = (place) => css(place === null ? "--genie" : `--c${place % 8}`);
  const withAlpha = (hex, alpha) => hex + Math.round(255 * alpha).toString(16).padStart(2, "0");

  function themedTrace(trace) {
    const color = colorOf(trace.meta.color);
    const themed = { ...trace };
    if (trace.meta.role === "band") themed.fillcolor = withAlpha(color, 0.14);
    if (trace.line) themed.line = { ...trace.line, color };
    if (trace.marker) themed.marker = { ...trace.marker, color, line: { ...trace.marker.line, color } };
    if (trace.error_y) themed.error_y = { ...trace.error_y, color };
    return themed;
  }

  function themedLayout(layout) {
    const [text, soft, line, grid, level, card] = ["--text", "--soft", "--line", "--grid", "--level", "--card"].map(css);
    const small = narrow.matches;
    const axis = {
      gridcolor: grid, linecolor: line, showline: true, tickcolor: line, ticks: "outside", ticklen: 4, tickfont: { color: soft },
    };
    const axes = (own) => ({
      ...axis, ...own, title: { ...own.title, font: { color: soft, size: 13 }, standoff: 10 },
      minor: { gridcolor: withAlpha(grid, 0.55), ...own.minor },
    });
    return {
      ...layout,
      height: layout.height ?? (small ? 430 : 540),
      paper_bgcolor: card,
      plot_bgcolor: card,
      font: { family: css("--sans"), size: small ? 11 : 13, color: text },
      hoverlabel: { bgcolor: card, bordercolor: line, font: { color: text, size: small ? 11 : 13 } },
      xaxis: { ...axes(layout.xaxis), spikecolor: level, spikethickness: 1, spikedash: "solid", spikemode: "across" },
      yaxis: { ...axes(layout.yaxis), showspikes: false },
      margin: small ? { ...layout.margin, r: 6 } : layout.margin,
      shapes: layout.shapes.map((shape) => ({ ...shape, line: { ...shape.line, color: level } })),
      annotations: layout.annotations.map((note) => ({ ...note, font: { color: level, size: 12 } })),
    };
  }

  // The page keeps one figure with a logarithmic axis; its linear form differs in the axis and in where the levels' names stand.
  function scaled(layout) {
    const meta = layout.meta;
    if (!meta) return layout;
    return {
      ...layout,
      yaxis: { ...layout.yaxis, ...meta.scales[scale] },
      annotations: layout.annotations.map((note, i) => ({
        ...note, y: scale === "log" ? Math.log10(meta.targets[i]) : meta.targets[i],
      })),
    };
  }

  // A figure inside of closed details has no width; it is drawn when they are opened.
  const isShown = (id) => document.getElementById(id).closest("details:not([open])") === null;

  function draw() {
    for (const [id, figure] of Object.entries(figures).filter(([id]) => isShown(id))) {
      Plotly.react(id, figure.data.map(themedTrace), themedLayout(scaled(figure.layout)), {
        responsive: true, displaylogo: false, displayModeBar: false,
      });
    }
  }

  for (const button of document.querySelectorAll("[data-scale]")) {
    button.addEventListener("click", () => {
      scale = button.dataset.scale;
      for (const other of document.querySelectorAll("[data-scale]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      draw();
    });
  }
  for (const details of document.querySelectorAll("details:has(.plot)")) details.addEventListener("toggle", draw);
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  draw();
})();
