// A button on each block that is meant to be taken along. What it copies is what will stand in the file: no signs, no removed
// lines. Pages that are served to a class by plain HTTP have no navigator.clipboard.
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
  const button = document.createElement("button")
  button.type = "button"
  button.textContent = "Copy"
  button.setAttribute("aria-label", `Copy: ${name}`)
  button.addEventListener("click", async () => {
    const code = block.querySelector("code").cloneNode(true)
    code.querySelectorAll("del, .sign, .gap").forEach(part => part.remove())
    await copy(block.matches(".command") ? code.textContent.trimEnd() : code.textContent)
    button.textContent = "Copied"
    setTimeout(() => { button.textContent = "Copy" }, 2000)
  })
  block.append(button)
}

// A table that is wider than the screen is scrolled by keyboard too.
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0
  }
})
