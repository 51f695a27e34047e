//! A real PDF as a branch's scanner makes it: one page, a line of text, and a picture of noise that no
//! packing makes smaller, so that it takes its time on a slow link.

use std::fmt::Write as _;

/// Dots of the picture, across and down; three bytes each.
const ACROSS: usize = 1_000;
const DOWN: usize = 1_400;

/// The file's bytes: about 4 MB.
pub fn scanned_page(text: &str) -> Vec<u8> {
    let mut picture = vec![0; ACROSS * DOWN * 3];
    blake3::Hasher::new()
        .update(text.as_bytes())
        .finalize_xof()
        .fill(&mut picture);
    let page = format!("q 400 0 0 560 97 60 cm /Scan Do Q BT /Text 18 Tf 97 700 Td ({text}) Tj ET");
    let objects: [Vec<u8>; 6] = [
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R\
          /Resources<</Font<</Text 5 0 R>>/XObject<</Scan 6 0 R>>>>>>"
            .to_vec(),
        stream("", page.as_bytes()),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
        stream(
            &format!(
                "/Type/XObject/Subtype/Image/Width {ACROSS}/Height {DOWN}\
                 /ColorSpace/DeviceRGB/BitsPerComponent 8"
            ),
            &picture,
        ),
    ];
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (index, object) in objects.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        file.extend_from_slice(format!("{} 0 obj\n", index + 1).as_bytes());
        file.extend_from_slice(object);
        file.extend_from_slice(b"\nendobj\n");
    }
    let start = file.len();
    let trailer = format!(
        "trailer\n<</Size {}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n",
        objects.len() + 1
    );
    file.extend_from_slice(table.as_bytes());
    file.extend_from_slice(trailer.as_bytes());
    file
}

fn stream(facts: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("<<{facts}/Length {}>>\nstream\n", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    object.extend_from_slice(b"\nendstream");
    object
}
