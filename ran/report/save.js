"use strict";
// PNG of a figure, made from its SVG when it is asked for: no page has to hold both.
for (const button of document.querySelectorAll("[data-png]")) {
  button.addEventListener("click", () => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      const scale = 2400 / picture.width;
      [canvas.width, canvas.height] = [2400, Math.round(picture.height * scale)];
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      const link = Object.assign(document.createElement("a"), { download: `${button.dataset.png}.png` });
      link.href = canvas.toDataURL("image/png");
      link.click();
    };
    picture.src = button.parentElement.querySelector("a[download$='.svg']").href;
  });
}
