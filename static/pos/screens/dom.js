// The shell's templates, cloned and filled. No HTML is pieced together from strings.

/**
 * Copy the one element inside `<template id>`.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function clone(id) {
  const template = document.getElementById(id)
  const first = template instanceof HTMLTemplateElement && template.content.firstElementChild
  if (!first) throw new Error(`no template ${id}`)
  return /** @type {HTMLElement} */ (document.importNode(first, true))
}

/**
 * Return the element that `root` names `name`.
 * @param {ParentNode} root
 * @param {string} name
 * @returns {HTMLElement}
 */
export function slot(root, name) {
  const found = root.querySelector(`[data-slot="${name}"]`)
  if (!(found instanceof HTMLElement)) throw new Error(`no slot ${name}`)
  return found
}

/**
 * @param {ParentNode} root
 * @param {Record<string, string>} texts
 */
export function fill(root, texts) {
  for (const [name, text] of Object.entries(texts)) slot(root, name).textContent = text
}

/**
 * Show a message on the screen; an empty text removes it.
 * @param {ParentNode} root
 * @param {string} text
 * @param {'bad' | 'good'} [kind]
 */
export function say(root, text, kind = 'bad') {
  const message = slot(root, 'message')
  message.textContent = text
  message.dataset.kind = kind
}

/**
 * @param {ParentNode} root
 * @param {string} name
 * @param {boolean} visible
 */
export function show(root, name, visible) {
  slot(root, name).hidden = !visible
}

/**
 * Put one copy of a template for each item into a slot.
 * @template T
 * @param {HTMLElement} into
 * @param {T[]} items
 * @param {string} template
 * @param {(part: HTMLElement, item: T) => void} filled
 */
export function each(into, items, template, filled) {
  into.replaceChildren(
    ...items.map((item) => {
      const part = clone(template)
      filled(part, item)
      return part
    }),
  )
}

/**
 * Handle touches of `root`'s buttons by the name in data-act.
 * @param {HTMLElement} root
 * @param {Record<string, (button: HTMLButtonElement) => unknown>} acts
 */
export function acts(root, acts) {
  root.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('button[data-act]') : null
    if (!(button instanceof HTMLButtonElement) || !root.contains(button)) return
    acts[button.dataset.act ?? '']?.(button)
  })
}
