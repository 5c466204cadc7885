//! The parser's events to a tree, with anchors, aliases and merge keys resolved.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::node::{MergeTag, Node, NodeKind, YamlError};
use super::number;
use super::scalar;
use crate::source_map::{FileId, floor_boundary};
use crate::spanned_text::SpannedText;

/// Levels of lists and mappings. Compose files need ten.
const DEPTH_MAX: usize = 64;

/// Nodes after aliases are expanded. The largest compose files have some thousands.
const NODES_MAX: usize = 200_000;

/// The documents of a text. There is at least one: an empty text is a null.
///
/// # Errors
///
/// The text is not YAML, or goes beyond a bound of depth or size.
pub fn parse(file: FileId, text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder::new(file, text);
    let mut parser = Parser::new_from_str(text);
    let mut documents = Vec::new();
    while let Some(next) = parser.next_event() {
        let (event, _) = next.map_err(|error| builder.scan_error(&error))?;
        if matches!(event, Event::DocumentStart(_)) {
            documents.push(builder.node(&mut parser)?);
        }
    }
    if documents.is_empty() {
        documents.push(Node { kind: NodeKind::Null, file, range: 0..0, tag: None });
    }
    Ok(documents)
}

/// A finished node with the sizes that bound its copies.
#[derive(Clone)]
struct Built {
    node: Node,
    /// The number of nodes, itself and all below.
    nodes: usize,
    /// Levels of lists and mappings, itself included.
    depth: usize,
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    /// The byte at which each character begins. Empty where all of them are one byte long.
    characters: Vec<usize>,
    anchors: HashMap<usize, Built>,
    nodes: usize,
}

/// A list or mapping that is being read.
struct OpenNode {
    start: usize,
    anchor: usize,
    tag: Option<MergeTag>,
    children: Children,
    nodes: usize,
    depth: usize,
}

enum Children {
    List(Vec<Node>),
    Map { entries: Vec<(SpannedText, Node)>, key: Option<SpannedText>, merged: Vec<Node>, names: HashSet<String> },
}

impl Children {
    fn mapping() -> Self {
        Self::Map { entries: Vec::new(), key: None, merged: Vec::new(), names: HashSet::new() }
    }
}

impl<'t> Builder<'t> {
    fn new(file: FileId, text: &'t str) -> Self {
        let characters = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { file, text, characters, anchors: HashMap::new(), nodes: 0 }
    }

    /// The byte of a character. The parser counts characters, and the rest of the crate counts bytes.
    fn byte(&self, character: usize) -> usize {
        if self.characters.is_empty() {
            return character.min(self.text.len());
        }
        self.characters.get(character).copied().unwrap_or(self.text.len())
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }

    /// Reads one node, however deep, without recursion.
    fn node(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Result<Node, YamlError> {
        let mut open: Vec<OpenNode> = Vec::new();
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| self.scan_error(&error))?;
            let range = self.range(&span);
            let Some(built) = self.finished(event, &range, &mut open)? else { continue };
            self.nodes += built.nodes;
            if self.nodes > NODES_MAX {
                let message = format!("more than {NODES_MAX} values, aliases counted each time");
                return Err(error(&range, message, "use fewer aliases of aliases"));
            }
            if open.len() + built.depth > DEPTH_MAX {
                return Err(too_deep(&range));
            }
            match open.last_mut() {
                Some(parent) => self.insert(parent, built, &range)?,
                None => return Ok(built.node),
            }
        }
        Ok(Node { kind: NodeKind::Null, file: self.file, range: 0..0, tag: None })
    }

    /// The node that an event finishes. None for an event that begins a list or mapping, or belongs to no node.
    fn finished(
        &mut self,
        event: Event<'_>,
        range: &Range<usize>,
        open: &mut Vec<OpenNode>,
    ) -> Result<Option<Built>, YamlError> {
        let built = match event {
            Event::SequenceStart(anchor, tag) => {
                begin(open, range, anchor, tag.as_deref(), Children::List(Vec::new()))?;
                return Ok(None);
            }
            Event::MappingStart(anchor, tag) => {
                begin(open, range, anchor, tag.as_deref(), Children::mapping())?;
                return Ok(None);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(closed) = open.pop() else { return Ok(None) };
                self.close(closed, range.end)
            }
            Event::Scalar(value, style, anchor, tag) => {
                let range = range.clone();
                let range = if anchor > 0 || tag.is_some() { self.behind_properties(range) } else { range };
                let built = self.scalar(&value, style, tag.as_deref(), range);
                self.remember(anchor, &built);
                built
            }
            Event::Alias(anchor) => self
                .anchors
                .get(&anchor)
                .cloned()
                .ok_or_else(|| error(range, "this alias names itself", "name an anchor that ends before it"))?,
            _ => return Ok(None),
        };
        Ok(Some(built))
    }

    fn close(&mut self, open: OpenNode, end: usize) -> Built {
        let kind = match open.children {
            Children::List(items) => NodeKind::List(items),
            Children::Map { mut entries, mut names, merged, .. } => {
                // The mapping's own keys win, then the earlier of several merged mappings.
                for (key, node) in merged.iter().flat_map(Node::entries) {
                    if names.insert(key.as_str().to_owned()) {
                        entries.push((key.clone(), node.clone()));
                    }
                }
                NodeKind::Map(entries)
            }
        };
        let node = Node { kind, file: self.file, range: open.start..end.max(open.start), tag: open.tag };
        // The children were counted when they were read, so only the node itself is new. A copy counts them all.
        let built = Built { node, nodes: open.nodes + 1, depth: open.depth + 1 };
        self.remember(open.anchor, &built);
        Built { nodes: 1, ..built }
    }

    fn remember(&mut self, anchor: usize, built: &Built) {
        if anchor > 0 {
            // The copy takes memory even if no alias ever names it.
            self.nodes += built.nodes;
            self.anchors.insert(anchor, built.clone());
        }
    }

    /// A scalar's range without its anchor and tag. The parser's range includes them.
    fn behind_properties(&self, range: Range<usize>) -> Range<usize> {
        let mut start = range.start;
        while let Some(rest) = self.text.get(start..range.end).filter(|rest| rest.starts_with(['&', '!'])) {
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            start += word + (rest[word..].len() - rest[word..].trim_start().len());
        }
        start..range.end
    }

    fn scalar(&self, value: &str, style: ScalarStyle, tag: Option<&Tag>, range: Range<usize>) -> Built {
        let plain = style == ScalarStyle::Plain && tag.is_none_or(|tag| merge_tag(Some(tag)).is_some());
        let kind = match value {
            "" | "~" | "null" | "Null" | "NULL" if plain => NodeKind::Null,
            "True" | "TRUE" if plain => NodeKind::Scalar(SpannedText::generated(self.file, "true", range.clone())),
            "False" | "FALSE" if plain => NodeKind::Scalar(SpannedText::generated(self.file, "false", range.clone())),
            _ if plain && let Some(number) = number::normalized(value) => {
                NodeKind::Scalar(SpannedText::generated(self.file, number, range.clone()))
            }
            _ => NodeKind::Scalar(scalar::spanned(self.file, self.text, range.clone(), value, style)),
        };
        Built { node: Node { kind, file: self.file, range, tag: merge_tag(tag) }, nodes: 1, depth: 0 }
    }

    fn insert(&self, parent: &mut OpenNode, built: Built, range: &Range<usize>) -> Result<(), YamlError> {
        parent.nodes += built.nodes;
        parent.depth = parent.depth.max(built.depth);
        let node = built.node;
        match &mut parent.children {
            Children::List(items) => items.push(node),
            Children::Map { entries, key, merged, names } => match key.take() {
                None => *key = Some(self.key(node, range)?),
                Some(name) if name.as_str() == "<<" => merge(node, merged)
                    .map_err(|message| error(range, message, "write `<<: *name`, with the name of a mapping"))?,
                Some(name) => {
                    if !names.insert(name.as_str().to_owned()) {
                        let message = format!("`{}` stands here twice", shown(name.as_str()));
                        let again = name.span();
                        return Err(error(&(again.start..again.end), message, "keep one of the two, or join them"));
                    }
                    entries.push((name, node));
                }
            },
        }
        Ok(())
    }

    fn key(&self, node: Node, range: &Range<usize>) -> Result<SpannedText, YamlError> {
        match node.kind {
            NodeKind::Scalar(text) => Ok(text),
            NodeKind::Null => Ok(SpannedText::generated(self.file, "", node.range)),
            NodeKind::List(_) | NodeKind::Map(_) => Err(error(
                range,
                "a list or mapping as a key",
                "a value that begins with `{` or `[` must stand in quotes",
            )),
        }
    }

    fn scan_error(&self, error: &ScanError) -> YamlError {
        let at = self.byte(error.marker().index());
        let len = self.text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let info = error.info().trim_end_matches('.');
        let message =
            if info.starts_with("unexpected character") { "no value can begin with this character" } else { info };
        YamlError { message: message.to_owned(), help: help_for(self.text, at).into(), range: at..at + len }
    }
}

/// Opens a list or mapping.
fn begin(
    open: &mut Vec<OpenNode>,
    range: &Range<usize>,
    anchor: usize,
    tag: Option<&Tag>,
    children: Children,
) -> Result<(), YamlError> {
    if open.len() >= DEPTH_MAX {
        return Err(too_deep(range));
    }
    open.push(OpenNode { start: range.start, anchor, tag: merge_tag(tag), children, nodes: 0, depth: 0 });
    Ok(())
}

fn too_deep(range: &Range<usize>) -> YamlError {
    error(range, format!("more than {DEPTH_MAX} levels of lists and mappings"), "write it with fewer levels")
}

fn error(range: &Range<usize>, message: impl Into<String>, help: &str) -> YamlError {
    YamlError { message: message.into(), help: help.into(), range: range.clone() }
}

/// Adds the value of `<<` to the merged mappings: `*one` or `[*one, *two]`.
fn merge(node: Node, merged: &mut Vec<Node>) -> Result<(), &'static str> {
    match node.kind {
        NodeKind::Map(_) => merged.push(node),
        NodeKind::List(items) if items.iter().all(|item| matches!(item.kind, NodeKind::Map(_))) => merged.extend(items),
        NodeKind::Null => {}
        NodeKind::List(_) | NodeKind::Scalar(_) => return Err("only a mapping can be merged with `<<`"),
    }
    Ok(())
}

fn merge_tag(tag: Option<&Tag>) -> Option<MergeTag> {
    let tag = tag?;
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Some(MergeTag::Reset),
        ("!", "override") => Some(MergeTag::Override),
        _ => None,
    }
}

/// The advice for the most likely cause of a syntax error.
fn help_for(text: &str, at: usize) -> &'static str {
    let at = floor_boundary(text, at);
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut lines = text[line_start..].lines();
    let (line, next) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let indented_by_tab = |line: &str| line[..line.len() - line.trim_start().len()].contains('\t');
    if indented_by_tab(line) || indented_by_tab(next) {
        "indent with spaces; YAML allows no tab there"
    } else if text[at..].starts_with(['`', '@', '%', '&', '*', '!', '|', '>', '"', '\'']) {
        "put the whole value into quotes"
    } else if line.contains(": ") || line.trim_end().ends_with(':') {
        "check the indentation, and put a value with `: ` or ` #` in it into quotes"
    } else {
        "check the indentation of this line and the one before"
    }
}

/// The beginning of a name, enough to recognise it.
fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}
