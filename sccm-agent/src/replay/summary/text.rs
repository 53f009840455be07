//! The summary for people.

use super::{Example, File, Summary};
use crate::output;
use std::net::IpAddr;

impl Summary {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts = vec![self.head()];
        parts.extend(self.files.iter().filter_map(File::remark));
        if !self.counts.is_empty() {
            parts.push(self.counts_text());
        }
        if !self.conversations.is_empty() {
            parts.push(self.conversations_text());
        }
        parts.join("\n\n")
    }

    fn head(&self) -> String {
        let files = match self.files.len() {
            1 => "1 file".to_owned(),
            several => format!("{several} files"),
        };
        let mut text = format!(
            "{} packets of {files}: {} pass, {} are dropped",
            self.packets, self.passed, self.dropped
        );
        for (count, what) in [
            (self.cut_off, "are cut off too short to be judged"),
            (self.elsewhere, "are not judged at this place"),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        if let Some(against) = self.against {
            text += &format!(
                "\nThe other policy would let pass {} packets that are dropped, and drop {} that pass, in \
                 {} conversations",
                against.opens, against.closes, against.conversations
            );
        }
        text
    }

    fn counts_text(&self) -> String {
        let mut table = output::list([
            "Packets",
            "Verdict",
            "Reason",
            "Direction",
            "What",
            "Peer",
            "First",
        ]);
        for one in &self.counts {
            let what = match (&one.protocol, &one.service) {
                (Some(protocol), Some(service)) => format!("{protocol} {service}"),
                _ => String::new(),
            };
            table.add_row([
                one.packets.to_string(),
                if one.passes { "pass" } else { "drop" }.to_owned(),
                one.reason.to_owned(),
                one.direction.to_owned(),
                what,
                one.peer.clone().unwrap_or_default(),
                one.examples
                    .first()
                    .map_or_else(String::new, |one| self.place(*one)),
            ]);
        }
        output::lines(&table)
    }

    fn conversations_text(&self) -> String {
        let mut table = output::list(["Dropped", "Passed", "From", "To", "What", "Why", "First"]);
        for one in &self.conversations {
            let end = |address: IpAddr, name: &Option<String>| match name {
                Some(name) => format!("{address} ({name})"),
                None => address.to_string(),
            };
            let mut why = one.reasons.join(", ");
            for (count, what) in [(one.opens, "would pass"), (one.closes, "would be dropped")] {
                if count > 0 {
                    why += &format!(" ({count} {what})");
                }
            }
            table.add_row([
                one.dropped.to_string(),
                one.passed.to_string(),
                end(one.opener, &one.opener_name),
                end(one.server, &one.server_name),
                format!("{}/{} {}", one.protocol, one.port, one.service),
                why.trim_start().to_owned(),
                self.place(one.first_dropped.unwrap_or(one.first)),
            ]);
        }
        let mut text = output::lines(&table);
        if self.conversations_more > 0 {
            text += &format!(
                "\n{} more conversations: raise --limit",
                self.conversations_more
            );
        }
        if self.others > 0 {
            text += &format!(
                "\n{} packets of further conversations were judged, and are not told apart: there were too many",
                self.others
            );
        }
        text
    }

    fn place(&self, example: Example) -> String {
        match self.files.len() {
            1 => format!("#{}", example.number),
            _ => format!("#{} of file {}", example.number, example.file + 1),
        }
    }
}

impl File {
    fn remark(&self) -> Option<String> {
        let (name, packets) = (&self.name, self.packets);
        if let Some(error) = &self.error {
            return Some(format!(
                "{name} could not be read to its end, but for {packets} packets: {error}"
            ));
        }
        self.ended_early.then(|| {
            format!("{name} ends within a packet: whoever wrote it was interrupted. Its {packets} whole packets were read")
        })
    }
}
