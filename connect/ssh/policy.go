package ssh

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// policy is the part of the configuration that forbids or restricts something. Its zero value
// is the default of ssh.
type policy struct {
	// The server's key.
	revoked           []string // files of revoked keys; one that can't be read refuses every host
	knownHostsCommand string
	checkHostIP       bool
	dns               bool     // VerifyHostKeyDNS
	trustLoopback     bool     // NoHostAuthenticationForLocalhost
	rsaBits           int      // of the server's keys and ours; 0 for minRSABits
	caSignatures      []string // nil for the default

	// Algorithms; nil for the default.
	kex, ciphers, macs []string
	hostKeyAlgorithms  []string
	hostKeysAsListed   bool     // their order is the user's, known hosts don't change it
	userKeyAlgorithms  []string // signatures by our keys
	rekeyBytes         uint64   // 0 for the default

	// Authentication.
	methods []string // in order; nil for the default
	batch   bool     // nobody is to be asked
	prompts int      // 0 for maxPrompts

	// The way there.
	network     string // "tcp4" or "tcp6", "" for both
	bindAddress netip.Addr
	attempts    int // 0 for one

	// The session.
	environ      []string // NAME=value, for the server
	forwardAgent string   // the agent's socket, "" for none

	// Settings that are not honoured, each with the way out.
	without []string
	// The same for authentication, which matter only where we are not let in.
	unused []string
}

// minRSABits is SSH_RSA_MINIMUM_MODULUS_SIZE of OpenSSH.
const minRSABits = 1024

// authMethods are those that this client has, in ssh's order of preference.
var authMethods = []string{"publickey", "keyboard-interactive", "password"}

// policyReader fills in a policy, and keeps the first error.
type policyReader struct {
	values map[string][]string
	tokens *sshconfig.Tokens
	err    error
}

func (r *policyReader) get(keyword string) string { return strings.Join(r.values[keyword], " ") }

func (r *policyReader) fail(keyword, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", keyword, fmt.Sprintf(format, args...))
	}
}

// flag reads yes or no. A value that is neither must not pass as the default.
func (r *policyReader) flag(keyword string, otherwise bool) bool {
	switch value := strings.ToLower(r.get(keyword)); value {
	case "":
		return otherwise
	case "yes", "true", "unbound", "host-bound": // the last two of PubkeyAuthentication
		return true
	case "no", "false":
		return false
	default:
		r.fail(keyword, "%q is neither yes nor no", value)
		return otherwise
	}
}

func (r *policyReader) number(keyword string) int {
	value := r.get(keyword)
	if value == "" {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		r.fail(keyword, "%q is no number", value)
	}
	return int(n)
}

// has reports whether a setting has a value other than "none".
func (r *policyReader) has(keyword string) bool {
	value := r.get(keyword)
	return value != "" && !strings.EqualFold(value, "none")
}

// policy reads the settings of a policy.
func (s *Login) policy(values map[string][]string, tokens *sshconfig.Tokens) (policy, error) {
	r := &policyReader{values: values, tokens: tokens}
	if refusal := r.get("refuseconnection"); refusal != "" {
		return policy{}, failure.Classify(connect.ErrPermission, fmt.Errorf("RefuseConnection: %s", printable.Text(refusal)))
	}
	if r.flag("proxyusefdpass", false) && r.has("proxycommand") {
		r.fail("ProxyUseFdpass", "this client talks to a proxy over its standard input and output only; use an openssh hop")
	}
	p := policy{
		checkHostIP:   r.flag("checkhostip", false),
		trustLoopback: r.flag("nohostauthenticationforlocalhost", false),
		rsaBits:       r.number("requiredrsasize"),
		batch:         r.flag("batchmode", false),
		prompts:       r.number("numberofpasswordprompts"),
		attempts:      r.number("connectionattempts"),
	}
	if values["numberofpasswordprompts"] != nil && p.prompts == 0 {
		p.batch = true
	}
	if v := strings.ToLower(r.get("verifyhostkeydns")); v != "" && v != "no" && v != "false" {
		p.dns = true
	}
	if r.has("knownhostscommand") {
		p.knownHostsCommand = r.get("knownhostscommand")
	}
	r.hostKeys(s, &p)
	r.algorithms(&p)
	r.authentication(&p)
	r.network(&p)
	r.session(s, &p)
	r.hints(&p)
	return p, r.err
}

func (r *policyReader) hostKeys(s *Login, p *policy) {
	files := s.RevokedHostKeys
	if files == nil {
		files = r.values["revokedhostkeys"]
	}
	for _, file := range files {
		if strings.EqualFold(file, "none") {
			continue
		}
		path, err := r.tokens.Expand(file)
		if err != nil {
			r.fail("RevokedHostKeys", "%v", err)
		}
		p.revoked = append(p.revoked, path)
	}
}

func (r *policyReader) algorithms(p *policy) {
	for _, list := range p.algorithmLists() {
		value := r.get(list.keyword)
		if value == "" {
			continue
		}
		chosen, err := list.names.choose(value)
		if err != nil {
			r.fail(list.keyword, "%v", err)
		}
		*list.to = chosen
	}
	// ssh puts the kinds that are known first where the list is a change to its
	// own, and keeps to one that is spelt out.
	p.hostKeysAsListed = p.hostKeyAlgorithms != nil && !strings.HasPrefix(r.get("hostkeyalgorithms"), "+") &&
		!strings.HasPrefix(r.get("hostkeyalgorithms"), "-")

	limits := strings.Fields(r.get("rekeylimit"))
	if len(limits) > 0 {
		bytes, err := parseSize(limits[0])
		if err != nil {
			r.fail("RekeyLimit", "%v", err)
		}
		p.rekeyBytes = bytes
	}
	if len(limits) > 1 && limits[1] != "0" && !strings.EqualFold(limits[1], "none") {
		p.without = append(p.without, "RekeyLimit: new keys are negotiated after an amount of data, never after a time")
	}
}

// An algorithmList is a keyword for a list of algorithms, and the place of its value in a policy.
type algorithmList struct {
	keyword string
	names   algorithmNames
	to      *[]string
}

func (p *policy) algorithmLists() []algorithmList {
	return []algorithmList{
		{"kexalgorithms", kexNames, &p.kex},
		{"ciphers", cipherNames, &p.ciphers},
		{"macs", macNames, &p.macs},
		{"hostkeyalgorithms", hostKeyNames, &p.hostKeyAlgorithms},
		{"casignaturealgorithms", signatureNames, &p.caSignatures},
		{"pubkeyacceptedalgorithms", userKeyNames, &p.userKeyAlgorithms},
	}
}

// authentication finds the methods that may be tried, in order.
func (r *policyReader) authentication(p *policy) {
	enabled := map[string]bool{
		"publickey":            r.flag("pubkeyauthentication", true),
		"keyboard-interactive": r.flag("kbdinteractiveauthentication", true),
		"password":             r.flag("passwordauthentication", true),
	}
	order := authMethods
	if preferred := r.get("preferredauthentications"); preferred != "" {
		order = strings.Split(strings.ReplaceAll(preferred, " ", ""), ",")
	}
	p.methods = []string{}
	for _, name := range order {
		if enabled[name] && !slices.Contains(p.methods, name) {
			p.methods = append(p.methods, name)
		}
	}
	for keyword, method := range map[string]string{"gssapiauthentication": "gssapi-with-mic", "hostbasedauthentication": "hostbased"} {
		if r.flag(keyword, false) {
			p.unused = append(p.unused, method)
		}
	}
	slices.Sort(p.unused)
	if r.has("pkcs11provider") {
		p.unused = append(p.unused, "keys of a PKCS11Provider")
		p.without = append(p.without, "PKCS11Provider: its keys are offered by an agent that has them (ssh-add -s), or by an openssh hop")
	}
}

func (r *policyReader) network(p *policy) {
	switch family := strings.ToLower(r.get("addressfamily")); family {
	case "", "any":
	case "inet":
		p.network = "tcp4"
	case "inet6":
		p.network = "tcp6"
	default:
		r.fail("AddressFamily", "%q is none of any, inet and inet6", family)
	}
	if r.has("bindinterface") {
		r.fail("BindInterface", "this client binds to addresses only: set BindAddress, or use an openssh hop")
	}
	if r.has("bindaddress") {
		var err error
		if p.bindAddress, err = netip.ParseAddr(r.get("bindaddress")); err != nil {
			r.fail("BindAddress", "%v", err)
		}
	}
}

// session finds the variables for the server and the agent to forward.
func (r *policyReader) session(s *Login, p *policy) {
	given := map[string]bool{}
	for _, entry := range r.values["setenv"] {
		if expanded, err := r.tokens.ExpandValue(entry); err == nil {
			entry = expanded // before OpenSSH 10 a % stood for itself
		}
		name, _, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			r.fail("SetEnv", "%q is not NAME=value", entry)
			return
		}
		if !given[name] {
			given[name] = true
			p.environ = append(p.environ, entry)
		}
	}
	var patterns []string
	for _, pattern := range r.values["sendenv"] {
		if taken, ok := strings.CutPrefix(pattern, "-"); ok {
			patterns = slices.DeleteFunc(patterns, func(p string) bool { return sshconfig.MatchWildcard(taken, p) })
			continue
		}
		patterns = append(patterns, pattern)
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if name != "" && !given[name] && slices.ContainsFunc(patterns, func(p string) bool { return sshconfig.MatchWildcard(p, name) }) {
			p.environ = append(p.environ, entry)
		}
	}

	forward := r.get("forwardagent")
	switch {
	case s.ForwardAgent, strings.EqualFold(forward, "yes"), strings.EqualFold(forward, "true"):
		if p.forwardAgent = cmp.Or(s.AgentSocket, os.Getenv("SSH_AUTH_SOCK")); p.forwardAgent == "" {
			p.without = append(p.without, noAgentToForward)
		}
	case forward == "", strings.EqualFold(forward, "no"), strings.EqualFold(forward, "false"):
	case strings.HasPrefix(forward, "$") && !strings.HasPrefix(forward, "${"):
		p.forwardAgent = os.Getenv(forward[1:])
	default:
		path, err := r.tokens.Expand(forward)
		if err != nil {
			r.fail("ForwardAgent", "%v", err)
		}
		p.forwardAgent = path
	}
}

const noAgentToForward = "ForwardAgent: there is no agent, SSH_AUTH_SOCK is not set"

// hints lists the settings that have no effect, with the remedy for each.
func (r *policyReader) hints(p *policy) {
	say := func(keyword, way string) { p.without = append(p.without, keyword+": "+way) }
	for _, keyword := range []string{"LocalForward", "RemoteForward", "DynamicForward"} {
		if r.has(strings.ToLower(keyword)) {
			say(keyword, "a hop forwards nothing by itself; use `mitosis forward`, or Listen and DialContext of the node")
		}
	}
	if v := strings.ToLower(r.get("tunnel")); v != "" && v != "no" && v != "false" {
		say("Tunnel", "there are no tunnel devices here; use ssh")
	}
	if r.flag("forwardx11", false) {
		say("ForwardX11", "there is no forwarding of X11 here; use ssh")
	}
	if r.flag("permitlocalcommand", false) && r.has("localcommand") {
		say("LocalCommand", "it is not run; use an openssh hop")
	}
}

// maxRekey is the largest value that x/crypto/ssh takes.
const maxRekey = math.MaxInt64

// parseSize reads a number of bytes with a suffix K, M or G; "default" and "none" are 0.
func parseSize(text string) (uint64, error) {
	if strings.EqualFold(text, "default") || strings.EqualFold(text, "none") {
		return 0, nil
	}
	digits, unit := text, uint64(1)
	if n := len(text); n > 0 {
		switch text[n-1] {
		case 'K', 'k':
			unit = 1 << 10
		case 'M', 'm':
			unit = 1 << 20
		case 'G', 'g':
			unit = 1 << 30
		}
		if unit > 1 {
			digits = text[:n-1]
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > maxRekey/unit {
		return 0, fmt.Errorf("%q is no number of bytes", text)
	}
	return n * unit, nil
}

// restrict returns a signer that only uses the algorithms that the policy allows.
func (p *policy) restrict(signer ssh.Signer) (ssh.Signer, error) {
	key := signer.PublicKey()
	if parsed, err := ssh.ParsePublicKey(key.Marshal()); err == nil {
		key = parsed // that of an agent does not say what it is
	}
	cert, certified := key.(*ssh.Certificate)
	if certified {
		key = cert.Key
	}
	if err := p.checkRSASize(key); err != nil {
		return nil, err
	}
	allowed := p.userKeyAlgorithms
	if allowed == nil {
		allowed = userKeyNames.defaults()
	}
	var algorithms []string
	for _, name := range signatureAlgorithms(key.Type()) {
		// A certificate has a name of its own for each algorithm.
		listed := name
		if certified {
			listed = certificateName(name)
		}
		if slices.Contains(allowed, listed) {
			algorithms = append(algorithms, name)
		}
	}
	if multi, ok := signer.(ssh.MultiAlgorithmSigner); ok {
		algorithms = without(algorithms, without(algorithms, multi.Algorithms()))
	}
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("PubkeyAcceptedAlgorithms does not have a key of type %s", key.Type())
	}
	able, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return signer, nil // it has one algorithm only
	}
	return ssh.NewSignerWithAlgorithms(able, algorithms)
}

// maxPrompts is NumberOfPasswordPrompts.
func (p *policy) maxPrompts() int {
	if p.prompts > 0 {
		return p.prompts
	}
	return maxPrompts
}

// notTaken says, of the methods that a server takes, which the configuration
// forbids and which only an ssh program has.
func (p *policy) notTaken(allowed []string) string {
	var text string
	for _, name := range authMethods {
		if slices.Contains(allowed, name) && !slices.Contains(p.methods, name) {
			text += "; the configuration forbids " + name
		}
	}
	for _, name := range p.unused {
		if slices.Contains(allowed, name) || strings.HasPrefix(name, "keys ") {
			text += "; an openssh hop could use " + name
		}
	}
	return text
}

// dnsHint returns the remedy for VerifyHostKeyDNS, which has no effect.
func (p *policy) dnsHint() string {
	if !p.dns {
		return ""
	}
	return "; VerifyHostKeyDNS is not evaluated here, an openssh hop does it"
}
