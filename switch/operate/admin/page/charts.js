// The last ten minutes, a point a second.

const SECONDS = 600;
const HEIGHT = 132;
const COLUMNS = [
  "at", "messages_per_second", "p50_ms", "p99_ms", "p999_ms", "approval_rate",
  "declines_per_second", "in_flight", "waiting", "batch_mean",
];
// What each chart draws: the class of its key in the caption, and its column.
const CHARTS = {
  "chart-rate": { rate: "messages_per_second", declines: "declines_per_second" },
  "chart-latency": { p50: "p50_ms", p99: "p99_ms", p999: "p999_ms" },
  "chart-approval": { approval: "approval_rate" },
  "chart-queue": { "in-flight": "in_flight", waiting: "waiting", batch: "batch_mean" },
};

const history = Object.fromEntries(COLUMNS.map((name) => [name, []]));
const charts = [];

/** Draw what was, as /api/history tells it. */
export function begin(told) {
  for (const name of COLUMNS) history[name] = told[name];
  if (!charts.length) for (const [id, lines] of Object.entries(CHARTS)) charts.push(chart(id, lines));
  draw();
}

/** One second more. */
export function add(now) {
  const { second } = now;
  const declines = Object.values(second.declines).reduce((sum, n) => sum + n, 0);
  const point = [
    Date.parse(now.at) / 1000, second.messages_per_second, second.latency_ms.p50,
    second.latency_ms.p99, second.latency_ms.p999, second.approval_rate,
    second.seconds ? declines / second.seconds : 0, now.in_flight, now.database.waiting,
    second.batch_mean,
  ];
  COLUMNS.forEach((name, place) => {
    history[name].push(point[place]);
    if (history[name].length > SECONDS) history[name].shift();
  });
  draw();
}

/** The same in other colours. */
export function recolour() {
  for (const { plot } of charts) plot.redraw();
}

function draw() {
  const end = history.at.at(-1) ?? Date.now() / 1000;
  for (const { plot, lines } of charts) {
    plot.setData(columns(lines), false);
    plot.setScale("x", { min: end - SECONDS, max: end });
  }
}

const columns = (lines) => [history.at, ...Object.values(lines).map(scaled)];

const scaled = (column) =>
  column === "approval_rate"
    ? history[column].map((share) => (share === null ? null : share * 100))
    : history[column];

function chart(id, lines) {
  const figure = document.getElementById(id);
  const colour = (name) => () => getComputedStyle(figure.querySelector(`.key.${name}`)).color;
  const style = getComputedStyle(figure);
  const isLog = id === "chart-latency";
  const axis = {
    stroke: () => style.color,
    font: `11px ${style.fontFamily}`,
    grid: { stroke: () => style.borderTopColor, width: 1 },
    ticks: { show: false },
  };
  const told = (_, ticks) => ticks.map((tick) => (isLog && !isMagnitude(tick) ? null : tick));
  const time = (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toISOString().slice(11, 16));
  const plot = new uPlot(
    {
      width: figure.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 8, 0, 0],
      scales: { x: { time: true }, y: range(id) },
      axes: [
        { ...axis, values: time, size: 22, space: 60 },
        {
          ...axis, size: 46, space: 26, filter: told, grid: { ...axis.grid, filter: told },
          values: (_, ticks) => ticks.map(label),
        },
      ],
      series: [
        {},
        ...Object.keys(lines).map((name) => ({
          stroke: colour(name), width: 1, points: { show: false }, spanGaps: false,
        })),
      ],
    },
    columns(lines),
    figure,
  );
  new ResizeObserver(() => plot.setSize({ width: figure.clientWidth, height: HEIGHT })).observe(figure);
  return { plot, lines };
}

/** Percentages are shown from 0 to 100, times by their order of magnitude, the rest from 0. */
function range(id) {
  if (id === "chart-approval") return { range: [0, 100] };
  if (id === "chart-latency") {
    const decades = (least, most) => [
      10 ** Math.floor(Math.log10(Math.max(least, 0.01))),
      10 ** Math.ceil(Math.log10(Math.max(most, 0.1))),
    ];
    return {
      distr: 3,
      range: (_, least, most) => (least === null ? [0.1, 100] : decades(least, most)),
    };
  }
  return { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] };
}

// Of a scale by magnitude only the magnitudes are drawn and named.
const isMagnitude = (tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9;

function label(tick) {
  if (tick === null) return "";
  return tick >= 10000 ? `${tick / 1000}k` : String(+tick.toFixed(2));
}
