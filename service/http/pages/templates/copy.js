// A button on each sample that copies it.
"use strict"
for (const sample of document.querySelectorAll("pre")) {
  const button = Object.assign(document.createElement("button"), { textContent: "Copy" })
  button.type = "button"
  button.className = "copy"
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(sample.textContent)
    button.textContent = "Copied"
    setTimeout(() => (button.textContent = "Copy"), 1500)
  })
  const frame = document.createElement("div")
  frame.className = "sample"
  sample.replaceWith(frame)
  frame.append(sample, button)
}
