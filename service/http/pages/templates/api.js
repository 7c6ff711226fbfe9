// Shows the contract of the service that this page comes from. Tokens are kept in the page alone.
window.addEventListener("load", () => {
  // Every field of the dialog for tokens takes the focus as it appears, so that it opened at the last one.
  new MutationObserver(() => {
    const dialog = document.querySelector("#api .modal-ux-content:not([data-begun])")
    if (dialog === null) return
    dialog.dataset.begun = ""
    dialog.querySelector("input")?.focus()
    dialog.scrollTop = 0
  }).observe(document.querySelector("#api"), { childList: true, subtree: true })
  window.SwaggerUIBundle({
    url: "../openapi.json",
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    filter: true,
    validatorUrl: null,
  })
})
