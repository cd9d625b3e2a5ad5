// Appended to the view on a page: brings every fragment and plain chart of the document to life.
const text = document.getElementById("calypso-libraries").textContent;
const LIVE = ".calypso-view:not(.calypso-static)";
const dataOf = (host) => JSON.parse(host.querySelector('script[type="application/json"]').textContent);
const failed = (host, error) => host.prepend(make("p", { class: "calypso-note", role: "alert" },
  `The interactive part could not be drawn in this browser: ${error.message}`));

loadLibraries(text).then(() => {
  document.querySelectorAll(LIVE).forEach((host) => mount(host, dataOf(host), { libraries: text }));
  document.querySelectorAll(".plain-chart").forEach((host) => {
    const drawing = host.appendChild(make("div", { class: "calypso-chart" }));
    drawChart(drawing, dataOf(host), loadLibraries(text))
      .then((result) => { host.__calypso = result; }, (error) => failed(host, error));
  });
}).catch((error) => document.querySelectorAll(`${LIVE}, .plain-chart`).forEach((host) => failed(host, error)));
