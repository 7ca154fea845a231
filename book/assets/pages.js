/* Loaded on every page: what theme and generators leave to be desired for readers who use a keyboard,
   a screen reader or their voice. */
(function () {
  'use strict';

  document.addEventListener('DOMContentLoaded', function () {
    // The search button reads "Search Ctrl+K" but is named "Search": let its words be its name.
    for (const button of document.querySelectorAll('.search-button-field[aria-label]')) {
      button.removeAttribute('aria-label');
    }

    // A list of references is announced as a list only if its entries are items of one.
    for (const entry of document.querySelectorAll('[role="list"] > [role="doc-biblioentry"]')) {
      entry.setAttribute('role', 'listitem');
    }

    // A folded cell reads "Show code cell source" but is named otherwise: again, its words are its name.
    for (const summary of document.querySelectorAll('summary[aria-label]')) {
      summary.removeAttribute('aria-label');
    }
    scrollable();
  });

  // Wide tables scroll sideways: with the keyboard too, where there is something to scroll.
  function scrollable() {
    for (const box of document.querySelectorAll('.pst-scrollable-table-container')) {
      if (box.scrollWidth > box.clientWidth) {
        const caption = box.querySelector('caption');
        box.setAttribute('tabindex', '0');
        box.setAttribute('role', 'group');
        box.setAttribute('aria-label', caption ? caption.textContent.trim() : 'Table');
      } else {
        box.removeAttribute('tabindex');
      }
    }
  }
  let waiting;
  window.addEventListener('resize', function () {
    clearTimeout(waiting);
    waiting = setTimeout(scrollable, 200);
  });
})();
