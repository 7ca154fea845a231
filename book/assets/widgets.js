/* Loaded on pages with widgets, after RequireJS and before the widgets' manager (see
   nb_ipywidgets_js in _config.yml). The manager was written for notebooks and MathJax 2. */
(function () {
  'use strict';

  // It looks for its icons' fonts beside the page; they lie beside its script, in vendor/hm.
  const fonts = new URL('vendor/hm', document.currentScript.src).href;
  window.requirejs.config({
    paths: { '@jupyter-widgets': fonts, '@jupyter-widgets/html-manager/dist': fonts },
  });

  // Formulas inside widgets: it calls MathJax 2; the pages have MathJax 3.
  document.addEventListener('DOMContentLoaded', function () {
    const MathJax = window.MathJax;
    if (!MathJax || !MathJax.startup || MathJax.Hub) return;
    MathJax.Hub = {
      Queue: function (task) {
        MathJax.startup.promise = MathJax.startup.promise.then(function () {
          return MathJax.typesetPromise([task[2]]);
        });
      },
    };
  });

  // Screen readers hear neither what its sliders and groups of buttons are called (the label beside
  // them) nor which button is chosen (only its colour tells).
  function labelled(widget) {
    const label = widget && widget.querySelector('.widget-label');
    return (label && label.textContent.trim()) || 'choice';
  }
  function set(element, attribute, value) {
    if (element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  }
  function tell() {
    for (const handle of document.querySelectorAll('.noUi-handle')) {
      set(handle, 'aria-label', labelled(handle.closest('.jupyter-widgets')));
    }
    for (const group of document.querySelectorAll('.widget-toggle-buttons')) {
      set(group, 'role', 'group');
      set(group, 'aria-label', labelled(group));
    }
    for (const button of document.querySelectorAll('.widget-toggle-button')) {
      set(button, 'aria-pressed', String(button.classList.contains('mod-active')));
    }
  }
  document.addEventListener('DOMContentLoaded', function () {
    const changes = { childList: true, subtree: true, attributeFilter: ['class'] };
    new MutationObserver(tell).observe(document.body, changes);
  });
})();
