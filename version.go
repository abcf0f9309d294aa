package mitosis

// Version is the version of this module. CHANGELOG.md says what it has.
const Version = "v0.1.0"
