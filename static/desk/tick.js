// One box ticks all findings of its kind that nobody judged yet; without script each is ticked by hand.

/** @param {HTMLInputElement} all */
function follow(all) {
  const boxes = () =>
    [...document.querySelectorAll(`input[data-code="${all.dataset.ticks}"]`)].filter(
      (box) => box instanceof HTMLInputElement && (box.hasAttribute("data-open") || !all.checked),
    )
  all.addEventListener("change", () => {
    for (const box of boxes()) if (box instanceof HTMLInputElement) box.checked = all.checked
  })
}

for (const all of document.querySelectorAll("input[data-ticks]")) {
  if (all instanceof HTMLInputElement) follow(all)
}
