package sftp

// request is a request that was read. Each operation uses some of the fields.
type request struct {
	id            uint32
	path, newPath string
	handle, to    uint64 // 0: not a possible handle
	offset        uint64
	toOffset      uint64
	length        uint64
	flags         uint32
	attrs         attributes
	data          []byte // in the packet
	uids, gids    []byte // in the packet
}

// field reads a part of a packet into a request.
type field func(*packet, *request)

func takePath(p *packet, q *request)     { q.path = string(p.bytes()) }
func takeNewPath(p *packet, q *request)  { q.newPath = string(p.bytes()) }
func takeHandle(p *packet, q *request)   { q.handle = p.handle() }
func takeTo(p *packet, q *request)       { q.to = p.handle() }
func takeOffset(p *packet, q *request)   { q.offset = p.uint64() }
func takeToOffset(p *packet, q *request) { q.toOffset = p.uint64() }
func takeLength(p *packet, q *request)   { q.length = p.uint64() }
func takeCount(p *packet, q *request)    { q.length = uint64(p.uint32()) }
func takeFlags(p *packet, q *request)    { q.flags = p.uint32() }
func takeAttrs(p *packet, q *request)    { q.attrs = p.attributes() }
func takeData(p *packet, q *request)     { q.data = p.bytes() }
func takeUIDs(p *packet, q *request)     { q.uids = p.bytes() }
func takeGIDs(p *packet, q *request)     { q.gids = p.bytes() }

// operation executes one kind of request.
type operation struct {
	fields []field
	// do appends an answer, or returns the error or status of the request.
	do func(*server, *request) error
	// changes says that a server with ReadOnly refuses the operation.
	changes bool
}

// operations are the operations whose requests have a type of their own.
var operations = map[byte]operation{
	requestOpen:     {[]field{takePath, takeFlags, takeAttrs}, (*server).open, false}, // which heeds ReadOnly itself
	requestClose:    {[]field{takeHandle}, (*server).close, false},
	requestRead:     {[]field{takeHandle, takeOffset, takeCount}, (*server).read, false},
	requestWrite:    {[]field{takeHandle, takeOffset, takeData}, (*server).write, true},
	requestLstat:    {[]field{takePath}, (*server).lstat, false},
	requestFstat:    {[]field{takeHandle}, (*server).fstat, false},
	requestSetstat:  {[]field{takePath, takeAttrs}, (*server).setstat, true},
	requestFsetstat: {[]field{takeHandle, takeAttrs}, (*server).fsetstat, true},
	requestOpendir:  {[]field{takePath}, (*server).opendir, false},
	requestReaddir:  {[]field{takeHandle}, (*server).readdir, false},
	requestRemove:   {[]field{takePath}, (*server).remove, true},
	requestMkdir:    {[]field{takePath, takeAttrs}, (*server).mkdir, true},
	requestRmdir:    {[]field{takePath}, (*server).rmdir, true},
	requestRealpath: {[]field{takePath}, (*server).realpath, false},
	requestStat:     {[]field{takePath}, (*server).stat, false},
	requestRename:   {[]field{takePath, takeNewPath}, (*server).rename, true},
	requestReadlink: {[]field{takePath}, (*server).readlink, false},
	// The text of the link comes first, as with OpenSSH and so with all clients. In the
	// draft its name comes first.
	requestSymlink: {[]field{takePath, takeNewPath}, (*server).symlink, true},
}

// extension is an operation whose requests have a name.
type extension struct {
	name, version string
	operation
}

// extensions are the extensions of OpenSSH 9.2, in the order in which it announces them.
// Its file PROTOCOL describes them.
var extensions = []extension{
	{"posix-rename@openssh.com", "1", operation{[]field{takePath, takeNewPath}, (*server).posixRename, true}},
	{"statvfs@openssh.com", "2", operation{[]field{takePath}, (*server).statvfs, false}},
	{"fstatvfs@openssh.com", "2", operation{[]field{takeHandle}, (*server).fstatvfs, false}},
	{"hardlink@openssh.com", "1", operation{[]field{takePath, takeNewPath}, (*server).hardlink, true}},
	{"fsync@openssh.com", "1", operation{[]field{takeHandle}, (*server).fsync, true}},
	{"lsetstat@openssh.com", "1", operation{[]field{takePath, takeAttrs}, (*server).lsetstat, true}},
	{"limits@openssh.com", "1", operation{nil, (*server).limits, false}},
	{"expand-path@openssh.com", "1", operation{[]field{takePath}, (*server).expandPath, false}},
	{"copy-data", "1", operation{[]field{takeHandle, takeOffset, takeLength, takeTo, takeToOffset}, (*server).copyData, true}},
	{"home-directory", "1", operation{[]field{takePath}, (*server).homeDirectory, false}},
	{"users-groups-by-id@openssh.com", "1", operation{[]field{takeUIDs, takeGIDs}, (*server).usersGroups, false}},
}

// parse reads a request behind the type of its packet. The error is a status for a request
// that can't be executed.
func parse(kind byte, p *packet) (operation, *request, error) {
	q := &request{id: p.uint32()}
	op, ok := operations[kind]
	if kind == requestExtended {
		op, ok = extended(string(p.bytes()))
	}
	if p.bad {
		return op, q, statusBadMessage
	}
	if !ok {
		return op, q, statusUnsupported
	}
	for _, read := range op.fields {
		read(p, q)
	}
	if p.bad {
		return op, q, statusBadMessage
	}
	return op, q, nil
}

func extended(name string) (operation, bool) {
	for i := range extensions {
		if extensions[i].name == name {
			return extensions[i].operation, true
		}
	}
	return operation{}, false
}
