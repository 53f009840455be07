//! Writes what both ends of a connection to a mapper say, from DCE 1.1: RPC, MS-RPCE and MS-DCOM.

/// An interface or a syntax: its UUID and its version.
pub type Name<'a> = (&'a str, u32);

/// What is proposed of a context: its number, the interface, the syntaxes.
pub type Context<'a> = (u16, Name<'a>, &'a [Name<'a>]);

pub const NDR32: Name<'_> = ("8a885d04-1ceb-11c9-9fe8-08002b104860", 2);
pub const NDR64: Name<'_> = ("71710533-beba-4937-8319-b5dbef9ccc36", 1);
pub const FEATURES: Name<'_> = ("6cb71c2c-9812-4540-0300-000000000000", 1);
pub const MAPPER: Name<'_> = ("e1af8308-5d1f-11c9-91a4-08002b14a0fa", 3);
pub const ACTIVATOR: Name<'_> = ("000001a0-0000-0000-c000-000000000046", 0);
pub const LEGACY: Name<'_> = ("4d9f4ab8-7d1c-11cf-861e-0020af6e7c57", 0);
pub const RESOLVER: Name<'_> = ("99fcfec4-5260-101b-bbcb-00aa0021347a", 0);
pub const SERVICES: &str = "367abb81-9844-35f1-ad32-98f038001003";

pub const INTEGRITY: u8 = 5;
pub const PRIVACY: u8 = 6;

/// Bytes that are written one after the other.
#[derive(Clone, Default)]
pub struct Out {
    pub bytes: Vec<u8>,
    pub is_big: bool,
}

impl Out {
    pub fn new(is_big: bool) -> Self {
        let bytes = Vec::new();
        Self { bytes, is_big }
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn number(self, little: &[u8]) -> Self {
        let mut bytes = little.to_vec();
        if self.is_big {
            bytes.reverse();
        }
        self.raw(&bytes)
    }

    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub fn u16(self, value: u16) -> Self {
        self.number(&value.to_le_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.number(&value.to_le_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.number(&value.to_le_bytes())
    }

    pub fn word(self, is_64: bool, value: u64) -> Self {
        match is_64 {
            true => self.align(8).u64(value),
            false => self.align(4).u32(value as u32),
        }
    }

    pub fn align(mut self, size: usize) -> Self {
        while !self.bytes.len().is_multiple_of(size) {
            self.bytes.push(0);
        }
        self
    }

    /// A UUID, by its text.
    #[track_caller]
    pub fn uuid(self, text: &str) -> Self {
        let digits = text.replace('-', "");
        let Ok(all) = u128::from_str_radix(&digits, 16) else {
            panic!("no UUID: {text}");
        };
        self.u32((all >> 96) as u32)
            .u16((all >> 80) as u16)
            .u16((all >> 64) as u16)
            .raw(&(all as u64).to_be_bytes())
    }

    fn utf16(self, text: &str) -> Self {
        let units = text.encode_utf16().chain([0]);
        units.fold(self, Self::u16)
    }
}

/// What a unit says beside its body.
#[derive(Clone, Copy)]
pub struct Unit {
    /// Its integers are big endian.
    pub is_big: bool,
    /// Its type (DCE 1.1: RPC, 12.6.3.1).
    pub kind: u8,
    /// 1: the first fragment, 2: the last, 0x80: it names an object.
    pub flags: u8,
    /// The number of its call.
    pub call: u32,
    /// The level of the security trailer, if there is one, and how much padding is before it.
    pub trailer: Option<(u8, u8)>,
}

impl Unit {
    pub fn new(kind: u8, call: u32) -> Self {
        Self {
            is_big: false,
            kind,
            flags: 3,
            call,
            trailer: None,
        }
    }

    pub fn out(self) -> Out {
        Out::new(self.is_big)
    }

    /// The whole unit.
    pub fn with(self, body: Out) -> Vec<u8> {
        let mut body = body.bytes;
        let mut credentials = 0;
        if let Some((level, padding)) = self.trailer {
            body.extend(vec![0; padding.into()]);
            body.extend([10, level, padding, 0, 0, 0, 0, 0]);
            body.extend([0xaa; 16]);
            credentials = 16;
        }
        let order = if self.is_big { 0 } else { 0x10 };
        let length = 16 + body.len() as u16;
        let head = self
            .out()
            .raw(&[5, 0, self.kind, self.flags, order, 0, 0, 0]);
        let head = head.u16(length).u16(credentials).u32(self.call);
        head.raw(&body).bytes
    }
}

/// A bind (11), or an alter context (14): contexts, each with interface and syntaxes.
pub fn proposal(unit: Unit, contexts: &[Context<'_>]) -> Vec<u8> {
    let mut body = unit.out().u16(5840).u16(5840).u32(0);
    body = body.u8(contexts.len() as u8).raw(&[0; 3]);
    for (context, (interface, version), syntaxes) in contexts {
        body = body.u16(*context).u8(syntaxes.len() as u8).u8(0);
        body = body.uuid(interface).u32(*version);
        for (syntax, version) in *syntaxes {
            body = body.uuid(syntax).u32(*version);
        }
    }
    unit.with(body)
}

/// Its answer (12 or 15): a result for each context, and the syntax that was taken.
pub fn agreement(unit: Unit, results: &[(u16, Name<'_>)]) -> Vec<u8> {
    let mut body = unit.out().u16(5840).u16(5840).u32(77);
    body = body.u16(4).raw(b"135\0").align(4);
    body = body.u8(results.len() as u8).raw(&[0; 3]);
    for (result, (syntax, version)) in results {
        body = body.u16(*result).u16(0).uuid(syntax).u32(*version);
    }
    unit.with(body)
}

pub fn request(unit: Unit, context: u16, operation: u16, stub: &[u8]) -> Vec<u8> {
    let body = unit
        .out()
        .u32(stub.len() as u32)
        .u16(context)
        .u16(operation);
    let object: &[u8] = if unit.flags & 0x80 != 0 {
        &[7; 16]
    } else {
        &[]
    };
    unit.with(body.raw(object).raw(stub))
}

pub fn response(unit: Unit, context: u16, stub: &[u8]) -> Vec<u8> {
    let body = unit.out().u32(stub.len() as u32).u16(context).u16(0);
    unit.with(body.raw(stub))
}

/// A tower of TCP, or of another protocol by its identifier.
pub fn tower(protocol: u8, port: u16, host: [u8; 4]) -> Vec<u8> {
    let floor = |out: Out, left: &[u8], right: &[u8]| {
        let out = out.u16(left.len() as u16).raw(left);
        out.u16(right.len() as u16).raw(right)
    };
    let name = |uuid: &str, version: u16| Out::new(false).u8(0x0d).uuid(uuid).u16(version).bytes;
    let out = floor(Out::new(false).u16(5), &name(SERVICES, 2), &[0, 0]);
    let out = floor(out, &name(NDR32.0, 2), &[0, 0]);
    let out = floor(out, &[0x0b], &[0, 0]);
    let out = floor(out, &[protocol], &port.to_be_bytes());
    floor(out, &[0x09], &host).bytes
}

/// The parameters of an answer of `ept_map`.
pub fn towers(is_big: bool, is_64: bool, towers: &[Vec<u8>], status: u32) -> Vec<u8> {
    let count = towers.len() as u64;
    let mut out = Out::new(is_big).raw(&[0; 20]).u32(count as u32);
    out = out
        .word(is_64, count.max(4))
        .word(is_64, 0)
        .word(is_64, count);
    for place in 0..count {
        out = out.word(is_64, 3 + place);
    }
    for tower in towers {
        let length = tower.len() as u32;
        out = out.word(is_64, length.into()).u32(length).raw(tower);
    }
    out.align(4).u32(status).bytes
}

/// A DUALSTRINGARRAY.
fn bindings(out: Out, is_64: bool, texts: &[(u16, &str)]) -> Out {
    let mut strings = Out::new(out.is_big);
    for (protocol, text) in texts {
        strings = strings.u16(*protocol).utf16(text);
    }
    let security = strings.u16(0);
    let offset = security.bytes.len() / 2;
    let all = security.u16(10).u16(0xffff).utf16("SYSTEM").u16(0).bytes;
    let entries = all.len() / 2;
    let out = out.word(is_64, entries as u64).u16(entries as u16);
    out.u16(offset as u16).raw(&all)
}

/// The parameters of an answer of ResolveOxid (0), or of ResolveOxid2 (4) with its version.
pub fn resolved(operation: u16, is_big: bool, is_64: bool, texts: &[(u16, &str)]) -> Vec<u8> {
    let out = bindings(Out::new(is_big).word(is_64, 0x2_0000), is_64, texts);
    let out = out.align(4).raw(&[1; 16]).u32(5);
    match operation {
        0 => out.u32(0).bytes,
        _ => out.u16(5).u16(7).u32(0).bytes,
    }
}

/// The parameters of an answer of the first DCOM's activation.
pub fn legacy(is_big: bool, texts: &[(u16, &str)]) -> Vec<u8> {
    let out = Out::new(is_big).u32(1).u32(0).u64(99).u32(0x2_0000);
    let out = bindings(out, false, texts).align(4);
    out.raw(&[1; 16]).u32(5).u16(5).u16(7).u32(0).bytes
}

/// Something that is serialized by itself.
fn serialized(body: Out) -> Vec<u8> {
    let body = body.align(8).bytes;
    let head = Out::new(false).raw(&[1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc]);
    head.u32(body.len() as u32).u32(0).raw(&body).bytes
}

/// The parameters of an answer of RemoteCreateInstance: PropsOut with bindings that have no ports,
/// and ScmReplyInfo.
pub fn activated(is_big: bool, texts: &[(u16, &str)], status: u32) -> Vec<u8> {
    let reply = Out::new(false).u32(0).u32(0x2_0000).u64(99).u32(0x2_0004);
    let reply = reply.raw(&[2; 16]).u32(5).u16(5).u16(7);
    let reply = serialized(bindings(reply, false, texts));
    let outs = Out::new(false).u32(1).raw(&[0; 20]).raw(b"MEOW").u32(1);
    let outs = serialized(bindings(
        outs.raw(&[3; 52]),
        false,
        &[(7, "cm01"), (7, "192.0.2.20")],
    ));
    let sizes = [outs.len() as u32, reply.len() as u32];
    let header = Out::new(false)
        .u32(0)
        .u32(112)
        .u32(0)
        .u32(2)
        .u32(2)
        .raw(&[0; 16]);
    let header = header.u32(0x2_0000).u32(0x2_0004).u32(0).u32(2);
    let header = header
        .uuid("00000339-0000-0000-c000-000000000046")
        .uuid("000001b6-0000-0000-c000-000000000046");
    let mut header = serialized(header.u32(2).u32(sizes[0]).u32(sizes[1]));
    let total = header.len() as u32 + sizes[0] + sizes[1];
    header[16..20].copy_from_slice(&total.to_le_bytes());
    assert_eq!(header.len(), 112);
    let object = Out::new(false).raw(b"MEOW").u32(4);
    let object = object.uuid("000001a3-0000-0000-c000-000000000046");
    let object = object.uuid("00000339-0000-0000-c000-000000000046");
    let object = object.u32(0).u32(total + 16).u32(total).u32(0);
    let object = object.raw(&header).raw(&outs).raw(&reply).bytes;
    let size = object.len() as u32;
    let out = Out::new(is_big)
        .u32(1)
        .u32(0)
        .u32(0x2_0000)
        .u32(size)
        .u32(size);
    out.raw(&object).align(4).u32(status).bytes
}
