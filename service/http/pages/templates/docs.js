// The search of the documentation. Every page reads well without it.
"use strict"
{
  const up = document.body.dataset.up
  const MOST = 12
  let index

  const load = async () => (index ??= await (await fetch(`${up}docs/assets/search.json`)).json())

  const words = (text) => text.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean)

  // A heading that begins with a word counts most, text that merely holds it least; every word must be somewhere.
  const weigh = (entry, wanted) => {
    const heading = entry.heading.toLowerCase()
    const page = entry.page.toLowerCase()
    const text = entry.text.toLowerCase()
    let sum = 0
    for (const word of wanted) {
      const found =
        (words(heading).some((one) => one.startsWith(word)) ? 8 : heading.includes(word) ? 5 : 0) +
        (page.includes(word) ? 4 : 0) +
        (text.includes(word) ? 1 : 0)
      if (!found) return 0
      sum += found
    }
    return heading === wanted.join(" ") ? sum + 20 : sum
  }

  const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text })

  // Text around the first word that was found, with all of them marked.
  const excerpt = (text, wanted) => {
    const place = Math.max(text.toLowerCase().indexOf(wanted.find((word) => text.toLowerCase().includes(word)) ?? ""), 0)
    const begin = Math.max(text.lastIndexOf(" ", Math.max(place - 50, 0)), 0)
    const span = element("span")
    const cut = (begin ? "… " : "") + text.slice(begin, begin + 150).trim()
    const pattern = new RegExp(`(${wanted.map((word) => word.replace(/[^\p{L}\p{N}_]/gu, "\\$&")).join("|")})`, "giu")
    cut.split(pattern).forEach((part, number) => span.append(number % 2 ? element("mark", part) : part))
    return span
  }

  const results = (entries, query) => {
    const wanted = words(query)
    const found = entries
      .map((entry) => [weigh(entry, wanted), entry])
      .filter(([weight]) => weight)
      .sort(([one], [other]) => other - one)
    const list = element("ul")
    for (const [, entry] of found.slice(0, MOST)) {
      const link = element("a")
      link.href = up + entry.url
      link.append(element("b", entry.heading === entry.page ? entry.page : `${entry.page}: ${entry.heading}`))
      if (entry.text) link.append(excerpt(entry.text, wanted))
      const item = element("li")
      item.append(link)
      list.append(item)
    }
    const told = element("p", found.length ? `${found.length} found` : "Nothing found. Try fewer or other words.")
    told.setAttribute("role", "status")
    return [told, list]
  }

  const form = document.querySelector("[role=search]")
  const field = form.querySelector("input")
  const panel = element("div")
  panel.className = "found"
  panel.hidden = true
  form.append(panel)

  const show = async () => {
    const query = field.value.trim()
    panel.hidden = !words(query).length
    if (panel.hidden) return
    const shown = results(await load(), query)
    if (query === field.value.trim()) panel.replaceChildren(...shown)
  }
  field.addEventListener("focus", load)
  field.addEventListener("input", show)
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault()
      field.focus()
    }
    if (event.key === "Escape") panel.hidden = true
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && form.contains(document.activeElement) && !panel.hidden) {
      const links = [field, ...panel.querySelectorAll("a")]
      const next = links[links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)]
      if (next) {
        event.preventDefault()
        next.focus()
      }
    }
  })
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) panel.hidden = true
  })

  const page = document.querySelector("[data-search]")
  const asked = new URLSearchParams(location.search).get("q")
  if (page && asked) {
    field.value = asked
    load().then((entries) => page.replaceChildren(element("h1", `Search: ${asked}`), ...results(entries, asked)))
  }
}
