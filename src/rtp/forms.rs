use std::sync::OnceLock;

/// The forms of one thing that were asked for, each made once: a list that only grows. Those who ask nearly all want the
/// same one or two, so the one asked for is found at once, without a lock.
#[derive(Debug)]
pub struct Forms<K, F>(OnceLock<Box<Form<K, F>>>);

#[derive(Debug)]
struct Form<K, F> {
    key: K,
    form: F,
    next: Forms<K, F>,
}

impl<K, F> Default for Forms<K, F> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: Copy + PartialEq, F> Forms<K, F> {
    /// The form called `key`; `make` makes it if there is none yet.
    pub fn form(&self, key: K, make: impl Fn() -> F) -> &F {
        let mut list = self;
        loop {
            let form = list.0.get_or_init(|| Box::new(Form { key, form: make(), next: Self::default() }));
            if form.key == key {
                return &form.form;
            }
            list = &form.next;
        }
    }
}
