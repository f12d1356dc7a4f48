// Plots of traffic, and one key. All else of the dashboard works without scripts.
'use strict';

const COLOURS = {
  light: {requests: '#0a5fb4', errors: '#b3202e', latency: '#6b4300'},
  dark: {requests: '#58a6ff', errors: '#ff7b7b', latency: '#f5cf7e'},
};
const TITLES = {requests: 'Requests/s', errors: 'Errors/s', latency: 'Response time (ms)'};
const SECONDS = 6;
const HEIGHT = 180;
const dark = window.matchMedia('(prefers-color-scheme: dark)');

async function draw(element) {
  const answer = await fetch(element.dataset.series, {headers: {Accept: 'application/json'}});
  if (!answer.ok) return;
  const series = await answer.json();
  const lines = element.dataset.lines.split(' ');
  const data = [series.at, ...lines.map((name) => series[name])];
  const width = element.clientWidth;
  if (element.plot && element.plotDark === dark.matches) {
    element.plot.setData(data);
    element.plot.setSize({width, height: HEIGHT});
    return;
  }
  if (element.plot) element.plot.destroy();
  const text = getComputedStyle(element).color;
  const colours = dark.matches ? COLOURS.dark : COLOURS.light;
  const axis = {stroke: text, grid: {stroke: dark.matches ? '#364049' : '#d0d7de', width: 1}};
  element.plotDark = dark.matches;
  element.plot = new uPlot({
    width,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    axes: [axis, axis],
    cursor: {drag: {x: false, y: false}},
    scales: {y: {range: (_, low, high) => [0, Math.max(high || 0, 1)]}},
    series: [{label: 'Time (UTC)'}, ...lines.map((name) => ({label: TITLES[name], stroke: colours[name], width: 2}))],
  }, data, element);
}

function drawAll() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll('.plot')) draw(element).catch(() => {});
}

document.addEventListener('keydown', (event) => {
  const search = document.getElementById('search');
  const typing = event.target.closest('input, textarea, select');
  if (event.key === '/' && search && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
  }
});
window.addEventListener('resize', drawAll);
dark.addEventListener('change', drawAll);
drawAll();
setInterval(drawAll, SECONDS * 1000);
