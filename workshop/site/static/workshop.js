// A button on each block that is meant to be taken along, and on each part of a change in several places. What it copies is what
// will stand in the file: no signs, no removed lines. Pages that are served by plain HTTP have no navigator.clipboard.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = document.createElement("textarea")
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand("copy")
  area.remove()
}

for (const block of document.querySelectorAll(".highlight:not(.shown)")) {
  const name = block.querySelector(".filename")?.textContent ?? "block"
  const code = block.querySelector("code")
  for (const gap of [null, ...code.querySelectorAll(".gap")]) {
    const button = document.createElement("button")
    button.type = "button"
    button.textContent = "Copy"
    button.setAttribute("aria-label", `Copy: ${name}${gap ? ", the part below" : ""}`)
    button.addEventListener("click", async () => {
      const part = document.createElement("code")
      for (let line = gap ? gap.nextSibling : code.firstChild; line && !line.matches?.(".gap"); line = line.nextSibling) {
        part.append(line.cloneNode(true))
      }
      part.querySelectorAll("del, .sign").forEach(element => element.remove())
      await copy(block.matches(".command") ? part.textContent.trimEnd() : part.textContent)
      button.textContent = "Copied"
      setTimeout(() => { button.textContent = "Copy" }, 2000)
    })
    const place = gap ?? block
    place.append(button)
  }
}

// A table that is wider than the screen is scrolled by keyboard too.
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0
  }
})
