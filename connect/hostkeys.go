package connect

// HostKeyPolicy says how a hop treats a server whose key is not known.
type HostKeyPolicy uint8

// The policies. The numbers travel; append only.
const (
	// HostKeysStrict refuses a host that is not in known_hosts. The
	// configuration's StrictHostKeyChecking=accept-new or no still counts.
	HostKeysStrict HostKeyPolicy = iota
	// HostKeysAcceptNew adds a host that was never seen to the first
	// known_hosts file, and refuses one whose key has changed.
	HostKeysAcceptNew
	// InsecureIgnoreHostKeys accepts every key but those of RevokedHostKeys, and
	// remembers none. Anybody on the network between can then read and change everything.
	InsecureIgnoreHostKeys
)
