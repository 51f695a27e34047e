//! What a file's first bytes look like, and whether its name says otherwise.
//!
//! A hint for people, and no part of the verdict: a program that calls itself `invoice.pdf` is shown as
//! disguised, whatever the scanner says of it. Names are never believed, and content that nothing
//! recognises (text, logs, most things) claims nothing.

use branchline_protocol::file_name;

/// Bytes from the beginning that are looked at: as far as recognising an office document needs.
pub(super) const HEAD_BYTES: usize = 16 * 1024;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sniffed {
    /// A media type; `None` for an empty file.
    pub(super) media_type: Option<String>,
    /// The content is of another kind than the name says.
    pub(super) disguised: bool,
}

/// Kinds of content that may not pass for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Program,
    Script,
    Page,
    Text,
    Pdf,
    Office,
    Archive,
    Image,
    Sound,
    Film,
}

impl Kind {
    /// Whether content of this kind may carry a name of that one. Many formats are archives underneath,
    /// and sound and film share their containers.
    fn may_be_called(self, name: Self) -> bool {
        use Kind::{Archive, Film, Office, Page, Program, Script, Sound, Text};
        self == name
            || matches!(
                (self, name),
                (Archive, Office | Program)
                    | (Office, Archive | Program)
                    | (Script | Page, Text)
                    | (Script, Program)
                    | (Sound, Film)
                    | (Film, Sound)
            )
    }
}

/// Looks at the first bytes of a file of this name.
pub(super) fn sniff(head: &[u8], name: &str) -> Sniffed {
    if head.is_empty() {
        return Sniffed {
            media_type: None,
            disguised: false,
        };
    }
    let is_text = looks_like_text(head);
    let media_type = match recognised(head) {
        // A signature of two or three letters is no proof in the middle of text.
        Some(media_type) if !is_text || is_written(media_type) => media_type,
        _ if is_text => "text/plain",
        _ => "application/octet-stream",
    };
    Sniffed {
        media_type: Some(media_type.to_owned()),
        disguised: is_disguised(kind_of(media_type), name),
    }
}

fn recognised(head: &[u8]) -> Option<&'static str> {
    // It reads what anybody sends: should it fail, the file is one that nothing recognises (P6).
    std::panic::catch_unwind(|| infer::get(head))
        .ok()
        .flatten()
        .map(|found| found.mime_type())
}

fn is_disguised(content: Option<Kind>, name: &str) -> bool {
    let Some(content) = content else {
        return false;
    };
    // A program whose name is written so that it cannot be read.
    if content == Kind::Program && name.chars().any(file_name::is_deceptive) {
        return true;
    }
    // The extension as the disk of whoever opens it will have it.
    let name = file_name::safe_name(name).to_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    called(extension).is_some_and(|claimed| !content.may_be_called(claimed))
}

/// What the media type is, where its bytes are proof of it.
fn kind_of(media_type: &str) -> Option<Kind> {
    let (family, kind) = media_type.split_once('/')?;
    Some(match family {
        "image" => Kind::Image,
        "audio" => Kind::Sound,
        "video" => Kind::Film,
        _ => match kind {
            "wasm"
            | "x-executable"
            | "java"
            | "x-mach-binary"
            | "x-llvm"
            | "vnd.android.dex"
            | "vnd.android.dey"
            | "vnd.microsoft.portable-executable" => Kind::Program,
            "x-shellscript" => Kind::Script,
            "html" | "xml" => Kind::Page,
            "pdf" => Kind::Pdf,
            "msword" | "rtf" | "x-ole-storage" | "vnd.ms-excel" | "vnd.ms-powerpoint"
            | "epub+zip" => Kind::Office,
            kind if kind.starts_with("vnd.openxmlformats") || kind.starts_with("vnd.oasis") => {
                Kind::Office
            }
            "zip"
            | "gzip"
            | "vnd.rar"
            | "x-7z-compressed"
            | "x-tar"
            | "x-bzip2"
            | "x-xz"
            | "zstd"
            | "x-lz4"
            | "vnd.ms-cab-compressed"
            | "x-rpm"
            | "x-cpio"
            | "vnd.debian.binary-package" => Kind::Archive,
            _ => return None,
        },
    })
}

/// What a name with this extension, in lower case, says of the content.
fn called(extension: &str) -> Option<Kind> {
    Some(match extension {
        "exe" | "dll" | "com" | "scr" | "sys" | "cpl" | "ocx" | "msi" | "msp" | "jar" | "class"
        | "so" | "ko" | "o" | "bin" | "elf" | "run" | "appimage" | "apk" | "dex" | "wasm"
        | "dylib" | "efi" | "pyd" | "deb" | "rpm" => Kind::Program,
        "sh" | "bash" | "py" | "pl" | "rb" | "js" | "vbs" | "ps1" | "bat" | "cmd" => Kind::Script,
        "html" | "htm" | "xhtml" | "xml" | "xsl" => Kind::Page,
        "txt" | "log" | "csv" | "tsv" | "md" | "json" | "ini" | "conf" | "cfg" | "yaml" | "yml"
        | "toml" | "eml" => Kind::Text,
        "pdf" => Kind::Pdf,
        "doc" | "docx" | "docm" | "dot" | "dotx" | "xls" | "xlsx" | "xlsm" | "xlsb" | "ppt"
        | "pptx" | "pps" | "ppsx" | "odt" | "ods" | "odp" | "rtf" | "msg" | "epub" | "vsd"
        | "vsdx" | "one" => Kind::Office,
        "zip" | "rar" | "7z" | "tar" | "gz" | "tgz" | "bz2" | "xz" | "zst" | "lz4" | "cab" => {
            Kind::Archive
        }
        "jpg" | "jpeg" | "png" | "gif" | "bmp" | "tif" | "tiff" | "webp" | "heic" | "heif"
        | "avif" | "ico" | "psd" | "jxl" => Kind::Image,
        "mp3" | "wav" | "ogg" | "oga" | "flac" | "m4a" | "aac" | "opus" | "wma" => Kind::Sound,
        "mp4" | "m4v" | "mov" | "avi" | "mkv" | "webm" | "wmv" | "mpg" | "mpeg" | "flv" => {
            Kind::Film
        }
        _ => return None,
    })
}

/// Types that are text themselves, or begin as if they were.
fn is_written(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || matches!(
            media_type,
            "application/pdf" | "application/rtf" | "application/postscript"
        )
}

/// UTF-8 without control characters that text has not; the end may be cut anywhere.
fn looks_like_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(fault) if fault.error_len().is_none() => {
            let (whole, _) = head.split_at(fault.valid_up_to());
            std::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !whole
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0";
    const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0aaaaaaaaaaaaaaaaaaaa";

    fn elf() -> Vec<u8> {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        elf
    }

    const PROGRAM: &str = "application/vnd.microsoft.portable-executable";
    /// First bytes, name, what they look like, and whether the name says otherwise.
    const CASES: &[(&[u8], &str, &str, bool)] = &[
        (EXE, "invoice.pdf", PROGRAM, true),
        (EXE, "invoice.PDF. ", PROGRAM, true),
        (EXE, "photo.jpg", PROGRAM, true),
        (EXE, "notes.txt", PROGRAM, true),
        (EXE, "setup.exe", PROGRAM, false),
        // Shown as `setup_exe.pdf` by a careless screen.
        (EXE, "setup_\u{202e}fdp.exe", PROGRAM, true),
        // Nothing is said, nothing is disguised.
        (EXE, "setup", PROGRAM, false),
        (EXE, "data.xyz", PROGRAM, false),
        (PDF, "report.pdf", "application/pdf", false),
        (PDF, "report.jpg", "application/pdf", true),
        (PNG, "photo.jpg", "image/png", false),
        (PNG, "report.pdf", "image/png", true),
        (ZIP, "report.docx", "application/zip", false),
        (ZIP, "logs.zip", "application/zip", false),
        (ZIP, "report.pdf", "application/zip", true),
        (
            b"#!/bin/sh\nrm -rf /\n",
            "report.pdf",
            "text/x-shellscript",
            true,
        ),
        (b"#!/bin/sh\nls\n", "notes.txt", "text/x-shellscript", false),
        (b"<html><script>", "report.pdf", "text/html", true),
        // What nothing recognises claims nothing.
        (b"2026-11-21 disk full\n", "app.log", "text/plain", false),
        (b"2026-11-21 disk full\n", "report.pdf", "text/plain", false),
        // Two letters in the middle of text are no proof.
        (
            b"MZ: M\xc3\xbcller\nBC: later",
            "notes.txt",
            "text/plain",
            false,
        ),
        (b"BMW dealers\n", "notes.txt", "text/plain", false),
        (
            b"\0\x01\x02\x03",
            "x.pdf",
            "application/octet-stream",
            false,
        ),
    ];

    #[test]
    fn content_is_compared_with_the_name() {
        let elf = elf();
        let elves: [(&[u8], &str, &str, bool); 2] = [
            (&elf, "report.docx", "application/x-executable", true),
            (&elf, "tool.bin", "application/x-executable", false),
        ];
        for (head, name, media_type, disguised) in CASES.iter().chain(&elves) {
            let found = sniff(head, name);
            assert_eq!(found.media_type.as_deref(), Some(*media_type), "{name}");
            assert_eq!(found.disguised, *disguised, "{name}");
        }
        let empty = sniff(b"", "report.pdf");
        assert_eq!((empty.media_type, empty.disguised), (None, false));
    }

    #[test]
    fn text_cut_in_the_middle_of_a_character_is_text() {
        let text = "é".repeat(20);
        for end in 1..text.len() {
            assert!(looks_like_text(&text.as_bytes()[..end]));
        }
        assert!(!looks_like_text(b"\xe9t\xe9 in an older encoding"));
    }

    /// Beginnings of every format that is recognised, cut and damaged at random, never bring it down.
    #[test]
    fn p6_hostile_beginnings_are_only_unrecognised() {
        let seed = 20_261_121_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 16).unwrap_or_default()
        };
        let ole = [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), &[0xff; 600]].concat();
        let ooxml = [
            ZIP,
            b"[Content_Types].xml",
            &[0xff; 300],
            b"PK\x03\x04",
            &[0; 60],
        ]
        .concat();
        let elf = elf();
        let heads: [&[u8]; 8] = [
            EXE,
            PDF,
            PNG,
            ZIP,
            &elf,
            &ole,
            &ooxml,
            b"\0\0\0\x20ftypmp42",
        ];
        for _ in 0..20_000 {
            let mut head = heads[random() % heads.len()].to_vec();
            for _ in 0..random() % 6 {
                let at = random() % head.len();
                head[at] = u8::try_from(random() % 256).unwrap_or_default();
            }
            head.truncate(random() % (head.len() + 1));
            let _ = sniff(&head, "x.pdf");
        }
    }
}
