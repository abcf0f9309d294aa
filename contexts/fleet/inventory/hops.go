package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/shlex"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
)

// ErrVariable is matched by errors about a variable that says how a host is reached and
// can't be used.
var ErrVariable = errors.New("the variable can't be used")

// prefix is what our names have in front within Ansible's inventories, where the short ones
// are the user's.
const prefix = "mitosis_"

// ourNames puts the prefix in front of those variables of our own form that say how a host is
// reached.
func ourNames(vars map[string]any) map[string]any {
	renamed := make(map[string]any, len(vars))
	for name, value := range vars {
		if _, ok := variableNames[name]; ok {
			name = prefix + name
		}
		renamed[name] = value
	}
	return renamed
}

// variableNames are the names of Ansible's for each of ours, the first that is set counts.
var variableNames = map[string][]string{
	"hop":             {},
	"via":             {},
	"behind":          {},
	"through":         {},
	"connection":      {"ansible_connection"},
	"host":            {"ansible_host", "ansible_ssh_host"},
	"port":            {"ansible_port", "ansible_ssh_port"},
	"user":            {"ansible_user", "ansible_ssh_user"},
	"key":             {"ansible_ssh_private_key_file", "ansible_private_key_file"},
	"password":        {"ansible_password", "ansible_ssh_password", "ansible_ssh_pass"},
	"jump":            {},
	"ssh_args":        {"ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"},
	"become":          {"ansible_become"},
	"become_method":   {"ansible_become_method"},
	"become_user":     {"ansible_become_user"},
	"become_password": {"ansible_become_password", "ansible_become_pass"},
}

// reach reads the variables of a host that say how it is reached. The first that can't be
// used is kept in err.
type reach struct {
	vars map[string]any
	err  error
}

// text returns the value of one of our variables, "" if it is not set.
func (r *reach) text(ours string) string {
	for _, name := range slices.Concat([]string{prefix + ours}, variableNames[ours]) {
		if text := r.value(name); text != "" {
			return text
		}
	}
	return ""
}

func (r *reach) value(name string) string {
	var text string
	switch v := r.vars[name].(type) {
	case nil:
		return ""
	case string:
		text = v
	case int, bool, float64, uint64, int64:
		text = fmt.Sprint(v)
	case encrypted:
		r.fail(name, "it is encrypted by ansible-vault")
	default:
		r.fail(name, "it is a %T", v)
	}
	if strings.Contains(text, "{{") {
		r.fail(name, "it is a template")
	}
	return text
}

func (r *reach) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s: %s", ErrVariable, name, fmt.Sprintf(format, args...))
	}
}

// Hops returns the hops that lead to the host, by its variables; the package comment has
// them. A host without any is reached by ssh. Errors match [ErrVariable], or are those of
// [connect.ParsePath].
func (h Host) Hops() ([]connect.Method, error) {
	r := &reach{vars: h.Vars}
	hops, err := r.hops(h.Name)
	if err = cmp.Or(r.err, err); err != nil {
		return nil, fmt.Errorf("host %s: %w", h.Name, err)
	}
	return hops, nil
}

func (r *reach) hops(name string) ([]connect.Method, error) {
	if path := r.text("hop"); path != "" {
		return connect.ParsePath(path)
	}
	var hops []connect.Method
	if via := r.text("via"); via != "" {
		var err error
		if hops, err = connect.ParsePath(via); err != nil {
			return nil, err
		}
	}
	last, err := r.last(name)
	if err != nil {
		return nil, err
	}
	hops = append(hops, last...)
	as, err := r.become()
	if as != nil {
		hops = append(hops, as)
	}
	return hops, err
}

// last returns the hops to the host itself.
func (r *reach) last(name string) ([]connect.Method, error) {
	target := r.text("host")
	if target == "" {
		target = name
	}
	connection := r.text("connection")
	connection = connection[strings.LastIndexByte(connection, '.')+1:] // community.docker.docker
	switch connection {
	case "", "ssh", "smart", "paramiko", "paramiko_ssh", "openssh":
		if target == name && strings.ContainsAny(name, ":/") && r.text("host") == "" {
			return connect.ParsePath(name) // the name is a hop path
		}
		m, err := r.login(target, connection == "openssh")
		return []connect.Method{m}, err
	case "local":
		return connect.ParsePath("local")
	}
	return connect.ParsePath(connection + ":" + target)
}

func (r *reach) login(target string, byProgram bool) (connect.Method, error) {
	user, host, hasUser := strings.Cut(target, "@")
	if !hasUser {
		user, host = "", target
	}
	if u := r.text("user"); u != "" {
		user = u
	}
	port := 0
	if text := r.text("port"); text != "" {
		var err error
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			r.fail("port", "%q is no port", text)
		}
	}
	jump, args := r.sshArgs()
	if j := r.text("jump"); j != "" {
		jump = j
	}
	var keys []string
	if key := r.text("key"); key != "" {
		keys = []string{key}
	}
	password := connect.Secret(r.text("password"))
	if byProgram || len(args) > 0 {
		return openssh.Login{Host: host, User: user, Port: port, IdentityFiles: keys, Password: password, ProxyJump: jump, Args: args}, r.err
	}
	login := ssh.Login{Host: host, User: user, Port: port, IdentityFiles: keys, Password: password}
	if jump == "" {
		return login, r.err
	}
	// The grammar of jump hosts is that of hop paths.
	hops, err := connect.ParsePath("ssh:" + jump + ",HOST")
	if err != nil || len(hops) != 1 {
		r.fail("jump", "%q is no list of jump hosts", jump)
		return login, r.err
	}
	login.ProxyJump = hops[0].(ssh.Login).ProxyJump
	return login, r.err
}

// sshArgs returns the arguments for ssh, and the jump hosts where those are all.
func (r *reach) sshArgs() (jump string, args []string) {
	for _, name := range slices.Concat([]string{prefix + "ssh_args"}, variableNames["ssh_args"]) {
		words, err := shlex.Split(r.value(name))
		if err != nil {
			r.fail(name, "%v", err)
		}
		args = append(args, words...)
	}
	rest := args
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		value := ""
		switch {
		case word == "-J" || word == "-o":
			if len(rest) == 0 {
				return "", args
			}
			value, rest = rest[0], rest[1:]
		case strings.HasPrefix(word, "-J") || strings.HasPrefix(word, "-o"):
			value = word[2:]
		default:
			return "", args
		}
		if word[1] == 'o' {
			key, v, _ := strings.Cut(value, "=")
			if !strings.EqualFold(strings.TrimSpace(key), "ProxyJump") {
				return "", args
			}
			value = strings.TrimSpace(v)
		}
		if jump != "" || value == "" {
			return "", args
		}
		jump = value
	}
	return jump, nil
}

// become returns the hop to another user, nil if there is none.
func (r *reach) become() (connect.Method, error) {
	how := r.text("become")
	switch {
	case how == "" || isFalse(how):
		return nil, r.err
	case isTrue(how):
		if how = r.text("become_method"); how == "" {
			how = "sudo"
		}
	}
	how = how[strings.LastIndexByte(how, '.')+1:]
	user, password := r.text("become_user"), connect.Secret(r.text("become_password"))
	switch how {
	case "sudo":
		return become.Sudo{User: user, Password: password}, r.err
	case "su":
		return become.Su{User: user, Password: password}, r.err
	case "doas":
		return become.Doas{User: user, Password: password}, r.err
	}
	r.fail("become_method", "%q is not sudo, su or doas", how)
	return nil, r.err
}

// isTrue and isFalse read a truth value as YAML 1.1 and Ansible do.
func isTrue(text string) bool {
	return slices.Contains([]string{"true", "yes", "on", "1", "y", "t"}, strings.ToLower(text))
}

func isFalse(text string) bool {
	return slices.Contains([]string{"false", "no", "off", "0", "n", "f"}, strings.ToLower(text))
}
