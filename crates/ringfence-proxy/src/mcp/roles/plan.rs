//! The roles of a tool's arguments, ready to be asked of each text in a call.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::names::{About, is_base};
use super::place::{Place, Step};
use super::{ArgumentRole, Roles, walk};

/// Deepest level of arguments that is looked at.
const LEVELS_MAX: usize = 128;

/// What the texts of a tool's arguments are for.
#[derive(Debug, Clone)]
pub struct RolePlan {
    about: About,
    tree: Node,
}

/// What is known of a place, and of what is in it.
#[derive(Debug, Clone, Default)]
struct Node {
    text: Option<ArgumentRole>,
    names: BTreeMap<String, Node>,
    any: Option<Box<Node>>,
    members: Option<Box<Node>>,
    keys: Option<ArgumentRole>,
    below: Option<ArgumentRole>,
}

/// A text of a call's arguments that has a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// What it is for.
    pub role: ArgumentRole,
    /// The text.
    pub text: &'a str,
}

/// Why a call's arguments have no roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// A text where the schema tells of none.
    #[error(
        "`{0}`: what a text there is for is not known: nothing in the tool's schema leads to it"
    )]
    Unknown(String),
    /// Something else where a text has a role.
    #[error("`{0}`: it is no text, and it is looked at as `{1}`")]
    NoText(String, ArgumentRole),
    /// What the role asks of the text does not hold.
    #[error("`{0}`: {1}")]
    Text(String, String),
    /// It has one meaning only when it is said otherwise, where nothing is said otherwise for the caller.
    #[error("`{0}`: it is to be given as `{1}` there")]
    Otherwise(String, String),
    /// Too many levels.
    #[error("the arguments have more than {LEVELS_MAX} levels")]
    TooDeep,
}

impl RolePlan {
    /// The roles of a tool: what is said of a place in `pinned` counts, and of every other the proposal.
    pub fn new(tool: &str, description: &str, schema: &Value, pinned: &Roles) -> RolePlan {
        let about = About::new(tool, description);
        let mut tree = Node::default();
        let places = walk::places(schema);
        let elsewhere = super::on_forges(&places);
        for place in &places.named {
            tree.set(place.steps(), None);
        }
        for (place, said) in &places.texts {
            tree.set(place.steps(), Some(super::proposed(&about, (place, said), &elsewhere)));
        }
        for (place, role) in pinned {
            tree.set(place.steps(), Some(*role));
        }
        RolePlan { about, tree }
    }

    /// Whether nothing that a call says is for anything: what it names is looked up nowhere.
    pub fn is_for_nothing(&self) -> bool {
        self.tree.is_for_nothing()
    }

    /// The directory that the call's other paths begin in, where one argument says it and no other does.
    pub fn base<'a>(&self, arguments: &'a Value) -> Option<&'a str> {
        let all = arguments.as_object()?;
        let is_path = |role: Option<ArgumentRole>| role.is_some_and(ArgumentRole::is_path);
        let of = |(name, value): (&String, &'a Value)| {
            let role = self.tree.names.get(name).and_then(|node| node.text);
            value.as_str().filter(|_| is_base(name) && is_path(role))
        };
        let mut bases = all.iter().filter_map(of);
        bases.next().filter(|_| bases.next().is_none())
    }

    /// Goes through every text that has a role, and puts in its place what `with` makes of it.
    pub fn apply(
        &self,
        arguments: &mut Value,
        with: &mut dyn FnMut(Text<'_>) -> Result<String, String>,
    ) -> Result<(), RoleError> {
        let mut call = Call { about: &self.about, with };
        let here = Here {
            node: Some(&self.tree),
            below: None,
            name: "",
            is_unnamed: false,
            level: 0,
            place: Place::root(),
        };
        call.value(arguments, &here)
    }
}

impl Node {
    fn is_for_nothing(&self) -> bool {
        let roles = [self.text, self.keys, self.below];
        let inner = [&self.any, &self.members].into_iter().flatten().map(|node| &**node);
        roles.into_iter().flatten().all(|role| role == ArgumentRole::None)
            && inner.chain(self.names.values()).all(Node::is_for_nothing)
    }

    /// Makes a place known, with its role where it is one of texts.
    fn set(&mut self, steps: &[Step], role: Option<ArgumentRole>) {
        let Some((first, rest)) = steps.split_first() else {
            self.text = role.or(self.text);
            return;
        };
        match first {
            Step::Name(name) => self.names.entry(name.clone()).or_default().set(rest, role),
            Step::Any => self.any.get_or_insert_default().set(rest, role),
            Step::Members => self.members.get_or_insert_default().set(rest, role),
            // Nothing comes behind these.
            Step::Names => self.keys = role.or(self.keys),
            Step::Below => self.below = role.or(self.below),
        }
    }
}

/// A value on the way through a call's arguments.
struct Here<'a> {
    node: Option<&'a Node>,
    /// The role of everything around it that no place tells apart.
    below: Option<ArgumentRole>,
    name: &'a str,
    /// It is an argument that the schema does not name, or in one: its name tells nothing of what it is for.
    is_unnamed: bool,
    level: usize,
    place: Place,
}

impl<'a> Here<'a> {
    fn below(&self) -> Option<ArgumentRole> {
        self.node.and_then(|node| node.below).or(self.below)
    }

    fn step(&self, node: Option<&'a Node>, name: &'a str, step: Step) -> Here<'a> {
        let level = self.level.saturating_add(1);
        let (below, place) = (self.below(), self.place.then(step));
        Here { node, below, name, is_unnamed: self.is_unnamed, level, place }
    }
}

struct Call<'a, 'w> {
    about: &'a About,
    with: &'w mut dyn FnMut(Text<'_>) -> Result<String, String>,
}

impl Call<'_, '_> {
    fn value(&mut self, value: &mut Value, here: &Here<'_>) -> Result<(), RoleError> {
        if here.level > LEVELS_MAX {
            return Err(RoleError::TooDeep);
        }
        match value {
            Value::Null => Ok(()),
            Value::Bool(_) | Value::Number(_) => match here.node.and_then(|node| node.text) {
                Some(role) if role.is_for_texts() => {
                    Err(RoleError::NoText(here.place.to_string(), role))
                }
                Some(_) | None => Ok(()),
            },
            Value::String(text) => self.text(text, here),
            Value::Array(all) => {
                let node = here.node.and_then(|node| node.members.as_deref());
                let inner = here.step(node, here.name, Step::Members);
                all.iter_mut().try_for_each(|value| self.value(value, &inner))
            }
            Value::Object(all) => self.object(all, here),
        }
    }

    fn text(&mut self, text: &mut String, here: &Here<'_>) -> Result<(), RoleError> {
        let unknown = || RoleError::Unknown(here.place.to_string());
        let told = here.node.and_then(|node| node.text);
        let role = told.or(here.below()).ok_or_else(unknown)?;
        if role.is_for_texts() {
            *text = self.say(role, text, here)?;
            return Ok(());
        }
        self.left_alone((role, here.is_unnamed), (text, here.name), here)
    }

    fn object(&mut self, all: &mut Map<String, Value>, here: &Here<'_>) -> Result<(), RoleError> {
        for (name, value) in all {
            let known = here.node.and_then(|node| node.names.get(name));
            if known.is_none() {
                self.key(name, here)?;
            }
            let node = known.or_else(|| here.node.and_then(|node| node.any.as_deref()));
            let mut inner = here.step(node, name, Step::Name(name.clone()));
            inner.is_unnamed |= known.is_none() && here.level == 0;
            self.value(value, &inner)?;
        }
        Ok(())
    }

    /// A name that the schema does not say is a text of the caller's.
    fn key(&mut self, name: &str, here: &Here<'_>) -> Result<(), RoleError> {
        let role = here.node.and_then(|node| node.keys).or(here.below());
        let unknown =
            || RoleError::Unknown(here.place.then(Step::Name(name.to_owned())).to_string());
        self.left_alone((role.ok_or_else(unknown)?, here.is_unnamed), (name, here.name), here)
    }

    /// A text in whose place nothing else is put. In a role by name, it has the one that its name says.
    fn left_alone(
        &mut self,
        (role, is_unnamed): (ArgumentRole, bool),
        (text, name): (&str, &str),
        here: &Here<'_>,
    ) -> Result<(), RoleError> {
        let by_name = role == ArgumentRole::ByName;
        let role = match by_name {
            true if is_unnamed => self.about.by_look_alone(name, text),
            true => self.about.by_look(name, text),
            false => role,
        };
        if role.is_for_texts() { self.unchanged(role, text, here) } else { Ok(()) }
    }

    /// A text that is looked at and stays: where its role is a guess, nothing else is put in its place.
    fn unchanged(
        &mut self,
        role: ArgumentRole,
        text: &str,
        here: &Here<'_>,
    ) -> Result<(), RoleError> {
        let meant = self.say(role, text, here)?;
        if meant == text {
            return Ok(());
        }
        Err(RoleError::Otherwise(here.place.to_string(), meant))
    }

    fn say(
        &mut self,
        role: ArgumentRole,
        text: &str,
        here: &Here<'_>,
    ) -> Result<String, RoleError> {
        (self.with)(Text { role, text }).map_err(|why| RoleError::Text(here.place.to_string(), why))
    }
}
