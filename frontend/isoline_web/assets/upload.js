/* Files to the server, streamed, with progress; the page learns of each when it has arrived. */
(function (isoline) {
  "use strict";

  isoline.actions ??= {};
  let arrived = [];
  let going = 0;

  isoline.actions["choose-files"] = () => {
    const input = isoline.words.element("input", "", "", { type: "file", multiple: "" });
    input.addEventListener("change", () => take(input.files));
    input.click();
  };

  async function take(files) {
    const list = document.getElementById("upload-list");
    if (!list.childElementCount) arrived = [];
    going += files.length;
    for (const file of files) {
      const row = line(list, file);
      try {
        const saved = await send(file, row);
        row.classList.add("done");
        row.querySelector(".said").textContent = `SHA-256 ${saved.sha256.slice(0, 12)}`;
        arrived.push({ id: saved.id, name: saved.name, size: saved.size });
      } catch (error) {
        row.classList.add("failed");
        row.querySelector(".said").textContent = error.message;
        isoline.api.complain(error);
      }
      going -= 1;
    }
    if (!going) globalThis.dash_clientside.set_props("uploads", { data: [...arrived] });
  }

  function line(list, file) {
    const { element, size } = isoline.words;
    const row = element("div", "upload");
    const bar = element("div", "progress");
    bar.append(element("span"));
    row.append(element("span", "icon icon-file"), element("span", "strong", file.name), element("span", "muted", size(file.size)), bar, element("span", "said muted mono", ""));
    list.append(row);
    return row;
  }

  /** XMLHttpRequest because fetch tells no upload progress. */
  function send(file, row) {
    const bar = row.querySelector(".progress > span");
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", "/api/uploads/" + encodeURIComponent(file.name));
      request.setRequestHeader("X-Requested-With", "isoline");
      request.upload.addEventListener("progress", (event) => {
        bar.style.width = `${(100 * event.loaded) / (event.total || 1)}%`;
      });
      request.addEventListener("load", () => {
        const answer = parse(request.responseText);
        if (request.status < 300) {
          bar.style.width = "100%";
          bar.parentElement.classList.add("done");
          resolve(answer);
        } else reject(Object.assign(new isoline.api.Failure(answer.detail ?? `The server answered ${request.status}.`), { hint: answer.hint ?? "" }));
      });
      request.addEventListener("error", () => reject(new isoline.api.Failure("The connection broke off; nothing was kept.")));
      request.send(file);
    });
  }

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch {
      return {};
    }
  }

  /** When nothing waits to be imported any more, the list is empty again. */
  function settle(uploads) {
    if (!uploads?.length && !going) document.getElementById("upload-list")?.replaceChildren();
    return globalThis.dash_clientside.no_update;
  }

  globalThis.dash_clientside = Object.assign({}, globalThis.dash_clientside, { upload: { settle } });

  const zone = (event) => event.target.closest?.("#drop-zone");

  document.addEventListener("dragover", (event) => {
    if (!zone(event)) return;
    event.preventDefault();
    zone(event).classList.add("over");
  });
  document.addEventListener("dragleave", (event) => zone(event)?.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    const target = zone(event);
    if (!target) return;
    event.preventDefault();
    target.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
})((globalThis.isoline ??= {}));
