//! The ports that an answer names (DCE 1.1: RPC, appendices L and O; MS-DCOM, 2.2.19.3).

/// Those of `ept_map`, if it is laid out as usual, in either transfer syntax.
pub fn of_towers(stub: &[u8]) -> Vec<u16> {
    let read = |is_64| {
        Layout {
            stub,
            at: 20,
            is_64,
            upper: 0,
        }
        .towers()
    };
    read(false).or_else(|| read(true)).unwrap_or_default()
}

/// What is left of the parameters.
struct Layout<'a> {
    stub: &'a [u8],
    at: usize,
    is_64: bool,
    /// The upper half of what was read last.
    upper: u32,
}

impl<'a> Layout<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.stub.get(self.at..self.at + count)?;
        self.at += count;
        Some(taken)
    }

    fn aligned(&mut self, size: usize) {
        self.at = self.at.next_multiple_of(size);
    }

    fn long(&mut self) -> Option<u64> {
        self.aligned(4);
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes).into())
    }

    /// A size, an offset or a pointer.
    fn native(&mut self) -> Option<u64> {
        if !self.is_64 {
            return self.long();
        }
        self.aligned(8);
        // Nobody looks at the upper half, but for the size of a tower.
        let half = self.take(4)?.try_into().ok()?;
        self.upper = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        Some(u32::from_le_bytes(half).into())
    }

    fn towers(&mut self) -> Option<Vec<u16>> {
        let count = self.long()?;
        let (most, offset, actual) = (self.native()?, self.native()?, self.native()?);
        if !(1..=4).contains(&count) || offset != 0 || actual != count || most < count {
            return None;
        }
        for _ in 0..count {
            self.native()?;
        }
        // Each tower stands for itself, if all are as long as those of TCP over IP.
        let mut ports = Vec::new();
        for _ in 0..count {
            self.upper = 0;
            let (most, length) = (self.native()?, self.long()?);
            let tower = self.take(75)?;
            if (most, length, self.upper) == (75, 75, 0) {
                ports.extend(port(tower));
            }
        }
        let status = self.long()?;
        (status == 0 && self.at == self.stub.len()).then_some(ports)
    }
}

/// Of a tower of TCP over IP: five floors, each with a left and a right side.
fn port(mut tower: &[u8]) -> Option<u16> {
    fn side<'a>(tower: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (size, rest) = tower.split_at_checked(2)?;
        let size = usize::from(u16::from_le_bytes(size.try_into().ok()?));
        let (side, rest) = rest.split_at_checked(size)?;
        *tower = rest;
        Some(side)
    }
    let (count, rest) = tower.split_at_checked(2)?;
    tower = rest;
    let mut floors = [(&[][..], &[][..]); 5];
    for floor in &mut floors {
        *floor = (side(&mut tower)?, side(&mut tower)?);
    }
    let is_name =
        |(left, right): (&[u8], &[u8])| left.len() == 19 && left[0] == 0x0d && right.len() == 2;
    let [interface, syntax, calls, tcp, ip] = floors;
    let is_usual = count == [5, 0]
        && is_name(interface)
        && is_name(syntax)
        && calls.0 == [0x0b]
        && calls.1.len() == 2
        && tcp.0 == [0x07]
        && ip.0 == [0x09]
        && ip.1.len() == 4
        && tower.is_empty();
    let port = u16::from_be_bytes(tcp.1.try_into().ok()?);
    is_usual.then_some(port)
}

/// That of string bindings, if the status has none of these bits and all of them name the same.
pub fn of_bindings(stub: &[u8], failures: u32) -> Vec<u16> {
    let Some(status) = stub.last_chunk() else {
        return Vec::new();
    };
    if u32::from_le_bytes(*status) & failures != 0 {
        return Vec::new();
    }
    let words: Vec<u16> = stub
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let mut ports: Vec<u16> = (0..words.len())
        .filter(|at| words[*at] == 7)
        .filter_map(|at| in_text(&words[at + 1..]))
        .collect();
    ports.dedup();
    match ports[..] {
        [port] => vec![port],
        _ => Vec::new(),
    }
}

/// The port at the end of a text, before its null. Empty brackets name port 0, which nobody has.
fn in_text(words: &[u16]) -> Option<u16> {
    let end = words.iter().position(|word| *word == 0)?;
    let text = String::from_utf16_lossy(&words[..end]);
    let (_, port) = text.strip_suffix(']')?.rsplit_once('[')?;
    match port {
        "" => Some(0),
        _ => port.parse().ok().filter(|_| !port.starts_with('+')),
    }
}
