package connect

// HostKeyPolicy says how a hop treats a server whose key is not known.
type HostKeyPolicy uint8

// The policies. The numbers travel; append only.
const (
	// HostKeysStrict refuses a host that is not in known_hosts. StrictHostKeyChecking in
	// the configuration still counts if it is accept-new or no, or if it is ask and somebody
	// can be asked.
	HostKeysStrict HostKeyPolicy = iota
	// HostKeysAcceptNew adds a host that was never seen to the first
	// known_hosts file, and refuses one whose key has changed.
	HostKeysAcceptNew
	// InsecureIgnoreHostKeys accepts every key but those of RevokedHostKeys, and
	// remembers none. Anybody on the network between can then read and change everything.
	InsecureIgnoreHostKeys
	// HostKeysAsk asks the person at the master about a host that is not in known_hosts,
	// with the fingerprint of its key, and adds the host if the answer is yes. If nobody
	// can be asked, the host is refused. StrictHostKeyChecking in the configuration goes
	// before: "yes" refuses, "accept-new" and "no" accept.
	HostKeysAsk
)
