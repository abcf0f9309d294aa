package ssh

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// mismatched adds a remedy to the error for a server that has none of the offered algorithms.
func mismatched(err *ssh.AlgorithmNegotiationError) error {
	var names algorithmNames
	keyword := ""
	switch what := err.What; {
	case what == "key exchange":
		names, keyword = kexNames, "KexAlgorithms"
	case what == "host key":
		names, keyword = hostKeyNames, "HostKeyAlgorithms"
	case strings.HasSuffix(what, "cipher"):
		names, keyword = cipherNames, "Ciphers"
	case strings.HasSuffix(what, "MAC"):
		names, keyword = macNames, "MACs"
	default:
		return err
	}
	const another = "a hop by openssh:HOST has what ssh has"
	for _, name := range strings.Split(names.usual+","+names.onRequest, ",") {
		if !slices.Contains(err.RequestedAlgorithms, name) {
			continue
		}
		hint := fmt.Sprintf("this client has %s and uses it where the configuration says so: %s +%s", name, keyword, name)
		if !slices.Contains(names.defaults(), name) {
			hint += "; it is weak, and " + another
		}
		return fmt.Errorf("%w; %s", err, hint)
	}
	return fmt.Errorf("%w; this client has none of those, %s", err, another)
}
