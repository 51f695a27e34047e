// The program behind the window, through Tauri's calls. No event permissions are needed: what is told comes
// through one channel.
import { Channel, invoke } from "@tauri-apps/api/core";
import type { Backend } from "./backend.ts";
import type { Told } from "./types.ts";

export const tauri: Backend = {
  start: () => invoke("start"),
  follow: (told) => {
    const channel = new Channel<Told>();
    channel.onmessage = told;
    void invoke("follow", { channel });
  },
  tickets: (search, mine, before) => invoke("tickets", { search, mine, before }),
  ticket: (number) => invoke("ticket", { number }),
  withdraw: (number, reason) => invoke("withdraw", { number, reason }),
  form: () => invoke("form"),
  draft: (on) => invoke("draft", { on }),
  write: (id, text) => invoke("write", { id, text }),
  pickFiles: (id) => invoke("pick_files", { id }),
  // As bytes, not as JSON: a screen has millions of them.
  paste: (id, name, bytes) =>
    invoke("paste", bytes, { headers: { draft: id, name: encodeURIComponent(name) } }),
  pastePicture: (id, name) => invoke("paste_picture", { id, name }),
  removeFile: (id, file) => invoke("remove_file", { id, file }),
  saveGiven: (id) => invoke("save_given", { id }),
  discard: (id) => invoke("discard", { id }),
  handIn: (id) => invoke("hand_in", { id }),
  attend: (id) => invoke("attend", { id }),
  setSettings: (settings) => invoke("set_settings", { settings }),
};
