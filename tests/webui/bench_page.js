// Probes of the benchmark, inside the page. All times are in milliseconds, on the page's own clock.
window.bench = (() => {
  const waiting = [];
  let draws = 0;
  const { putImageData } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.putImageData = function (...given) {
    putImageData.apply(this, given);
    draws += 1;
    for (const done of waiting.splice(0)) afterFrame(done);
  };

  /** Calls back when the frame that is being made has been laid out and painted: a message waits for that. */
  function afterFrame(done) {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      done(performance.now());
    };
    port2.postMessage(null);
  }

  const refresh = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const painted = () => refresh().then(() => new Promise(afterFrame));
  const drawn = () => new Promise((resolve) => waiting.push(resolve));

  /** Moves the pressed pointer before each refresh, as a browser does with real moves. Gives the times of the
   * refreshes and, as `work`, what the main thread spends on each: the move, then all that the frame needs. */
  async function drag(seconds) {
    const stage = document.querySelector(".stage");
    const { left, top, width, height } = stage.getBoundingClientRect();
    const [stamps, work, before] = [[], [], draws];
    while (stamps.length < 2 || stamps.at(-1) - stamps[0] < seconds * 1000) {
      const next = refresh();
      const moved = performance.now();
      const turned = stamps.length / 20;
      const clientX = left + width / 2 + 120 * Math.sin(turned);
      const clientY = top + height / 2 + 120 * Math.cos(turned);
      stage.dispatchEvent(new PointerEvent("pointermove", { pointerId: 1, clientX, clientY, bubbles: true }));
      const handled = performance.now() - moved;
      stamps.push(await next);
      const began = performance.now();
      work.push(handled + (await new Promise(afterFrame)) - began);
    }
    return { stamps, work, drawn: draws - before };
  }

  /** Goes from slice to slice with a key, each as soon as the last one is on the screen. */
  async function step(key, count) {
    const stage = document.querySelector(".stage");
    const times = [];
    for (let number = 0; number < count; number += 1) {
      const pressed = performance.now();
      stage.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      times.push((await drawn()) - pressed);
    }
    return times;
  }

  /** From each key press, as the browser got it, until its letter is on the screen. Fills the list that it gives. */
  function watchKeys() {
    const times = [];
    let pressed = 0;
    addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
    addEventListener("input", () => void painted().then((now, from = pressed) => times.push(now - from)), true);
    return times;
  }

  const answerLength = () => [...document.querySelectorAll("article.turn .answer")].at(-1)?.textContent.length ?? 0;

  /** When the last turn with these words was on the screen, counted from the start of the navigation. */
  async function opened(words) {
    for (;;) {
      await refresh();
      const turn = [...document.querySelectorAll("article.turn")].at(-1);
      const answer = turn?.querySelector(".answer");
      const seen = answer != null && answer.getBoundingClientRect().bottom < innerHeight;
      if (seen && answer.textContent.includes(words)) return new Promise(afterFrame);
    }
  }

  /** Names and sizes of the code and styles that the page has fetched. */
  const fetched = () =>
    performance
      .getEntriesByType("resource")
      .filter(({ name }) => /\.(js|css)$/.test(name))
      .map(({ name, encodedBodySize }) => ({ name, sent: encodedBodySize }));

  return { drag, step, watchKeys, answerLength, opened, fetched };
})();
