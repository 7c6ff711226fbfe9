// The search of the documentation. Every page reads well without it.
"use strict"
{
  const up = document.body.dataset.up
  const MOST = 12
  let index

  const load = async () => (index ??= await (await fetch(`${up}docs/assets/search.json`)).json())

  const words = (text) => text.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean)

  // Words of a question that say nothing of what is sought.
  const IDLE = new Set(words("a an and are can do does for how i in is it my of on or the to what when where which with"))

  const sought = (query) => {
    const all = words(query)
    const telling = all.filter((word) => !IDLE.has(word))
    return telling.length ? telling : all
  }

  // A word that a heading has counts most, letters amid a word of the text least. `held` counts the words that are there,
  // by half where they are amid others only: who seeks a port doesn't mean "support".
  const weigh = (entry, wanted) => {
    const heading = entry.heading.toLowerCase()
    const page = entry.page.toLowerCase()
    const text = entry.text.toLowerCase()
    let held = 0
    let weight = heading === wanted.join(" ") ? 20 : 0
    for (const word of wanted) {
      const begins = new RegExp(`(^|[^\\p{L}\\p{N}])${word}`, "u")
      const found =
        (begins.test(heading) ? 8 : heading.includes(word) ? 5 : 0) +
        (begins.test(page) ? 4 : page.includes(word) ? 2 : 0) +
        (begins.test(text) ? 3 : text.includes(word) ? 1 : 0)
      const begun = [heading, page, text].some((one) => begins.test(one))
      held += begun ? 1 : found ? 0.5 : 0
      weight += found
    }
    return { entry, held, weight }
  }

  const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text })

  // Text around the first word that was found, with all of them marked.
  const excerpt = (text, wanted) => {
    const place = Math.max(text.toLowerCase().indexOf(wanted.find((word) => text.toLowerCase().includes(word)) ?? ""), 0)
    const begin = Math.max(text.lastIndexOf(" ", Math.max(place - 50, 0)), 0)
    const span = element("span")
    const end = begin + 150 < text.length ? text.lastIndexOf(" ", begin + 150) : text.length
    const cut = `${begin ? "… " : ""}${text.slice(begin, end > begin ? end : begin + 150).trim()}${end < text.length ? " …" : ""}`
    const pattern = new RegExp(`(${wanted.map((word) => word.replace(/[^\p{L}\p{N}_]/gu, "\\$&")).join("|")})`, "giu")
    cut.split(pattern).forEach((part, number) => span.append(number % 2 ? element("mark", part) : part))
    return span
  }

  const results = (entries, query) => {
    const wanted = sought(query)
    const weighed = entries.map((entry) => weigh(entry, wanted))
    // Where no section holds every word, those that hold the most of them, but half at least.
    const held = weighed.reduce((most, one) => Math.max(most, one.held), wanted.length / 2)
    const found = weighed.filter((one) => one.held === held).sort((one, other) => other.weight - one.weight)
    const list = element("ul")
    for (const { entry } of found.slice(0, MOST)) {
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
