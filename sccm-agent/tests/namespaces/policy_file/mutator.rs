//! Breaks a good file in the ways in which files are broken: by typing, by pasting, by disks.

/// xorshift64* (Marsaglia; Vigna 2016): the same files in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// What a value is replaced by: of the wrong type, out of range, or meaningless.
const VALUES: [&str; 16] = [
    "true",
    "-1",
    "0",
    "65536",
    "99999999999999999999",
    "1.5",
    "\"\"",
    "\"nonsense\"",
    "[]",
    "[[]]",
    "{}",
    "[\"10.0.0.1/8\"]",
    "[\"10.0.0.0/33\"]",
    "1979-05-27",
    "\"\"\"\n\"\"\"",
    "",
];

/// One change somewhere in the text.
pub fn mutate(text: &str, random: &mut Random) -> Vec<u8> {
    let lines: Vec<&str> = text.lines().collect();
    // A changed comment changes nothing.
    let code: Vec<usize> = (0..lines.len())
        .filter(|line| !lines[*line].trim().is_empty() && !lines[*line].starts_with('#'))
        .collect();
    let line = *random.of(&code);
    let with = |content: String| -> Vec<u8> {
        let mut lines = lines.clone();
        lines[line] = &content;
        lines.join("\n").into_bytes()
    };
    let content = lines[line];
    let (key, value) = content.split_once(" = ").unwrap_or((content, ""));
    match random.below(9) {
        0 => {
            let mut bytes = content.as_bytes().to_vec();
            let place = random.below(bytes.len());
            bytes[place] ^= 1 << random.below(8);
            let before: usize = lines[..line].iter().map(|line| line.len() + 1).sum();
            let mut whole = text.as_bytes().to_vec();
            whole[before..before + bytes.len()].copy_from_slice(&bytes);
            whole
        }
        1 => with(String::new()),
        2 => with(format!("{content}\n{content}")),
        3 => with(format!("{value} = {key}")),
        4 => {
            let mut key = key.to_owned();
            key.insert(
                random.below(key.len() + 1),
                *random.of(&['x', '.', ' ', '"', ']', 'é']),
            );
            with(if value.is_empty() {
                key
            } else {
                format!("{key} = {value}")
            })
        }
        5 => with(format!("{key} = {}", random.of(&VALUES))),
        6 => {
            let words: Vec<&str> = content
                .split_inclusive(&['"', ',', '[', ' ', '/'][..])
                .collect();
            let mut swapped = words.clone();
            let (a, b) = (random.below(words.len()), random.below(words.len()));
            swapped.swap(a, b);
            with(swapped.concat())
        }
        7 => {
            let other = *random.of(&code);
            with(lines[other].to_owned())
        }
        _ => text.as_bytes()[..random.below(text.len())].to_vec(),
    }
}
