package peers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-milter"
)

const opendkimInstall = "apt-get install opendkim"

// OpenDKIM is a running opendkim(8) on a unix socket.
type OpenDKIM struct {
	socket string
}

// StartOpenDKIM starts the daemon with these lines of opendkim.conf beside what
// it always needs (socket, foreground, no syslog). It knows the TXT records of
// zone and no others, and ends with the test.
func StartOpenDKIM(t testing.TB, zone map[string]string, conf ...string) *OpenDKIM {
	t.Helper()
	return startOpenDKIM(t, exec.Command, zone, conf...)
}

// startOpenDKIM is StartOpenDKIM with a choice of how the program is run.
func startOpenDKIM(t testing.TB, command func(string, ...string) *exec.Cmd, zone map[string]string, conf ...string) *OpenDKIM {
	t.Helper()
	program, err := exec.LookPath("opendkim")
	if err != nil {
		program = "/usr/sbin/opendkim"
	}
	if _, err := os.Stat(program); err != nil {
		Require(t, fmt.Errorf("no opendkim: %w; %s", err, opendkimInstall))
	}
	// Not t.TempDir: its path may be too long for a unix socket.
	dir, err := os.MkdirTemp("", "postseal-opendkim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })

	var records strings.Builder
	for name, value := range zone {
		fmt.Fprintf(&records, "%s %s\n", name, value)
	}
	testPublicKeys := "TestPublicKeys " + filepath.Join(dir, "records")
	if slices.ContainsFunc(conf, func(line string) bool { return strings.HasPrefix(line, "Nameservers ") }) {
		testPublicKeys = "" // it would answer in place of the name servers
	}
	files := map[string]string{
		"records": records.String(),
		"conf": strings.Join(append([]string{
			"Syslog no",
			"Socket local:" + filepath.Join(dir, "socket"),
			testPublicKeys,
			"PidFile " + filepath.Join(dir, "pid"),
			"UMask 0077",
			"RequireSafeKeys no",
			"MaximumHeaders 0",
		}, conf...), "\n") + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := command(program, "-f", "-x", filepath.Join(dir, "conf"))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var exit error // read after ended is closed
	go func() {
		exit = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err) // SIGTERM would take five seconds, and it keeps nothing
		}
		<-ended
	})
	o := &OpenDKIM{socket: filepath.Join(dir, "socket")}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if s, err := o.session(); err == nil {
			s.Close()
			break
		}
		select {
		case <-ended:
			t.Fatalf("opendkim ended: %v: %s", exit, output.Bytes())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("opendkim does not answer on its socket")
		}
	}
	return o
}

// StartOpenDKIMVerifier starts one that verifies every signature of a message.
func StartOpenDKIMVerifier(t testing.TB, zone map[string]string) *OpenDKIM {
	t.Helper()
	return StartOpenDKIM(t, zone,
		"Mode v", "AuthservID opendkim.test", "AlwaysAddARHeader yes", "MaximumSignaturesToVerify 100",
		// Our client is on the loopback, which is internal; it is to verify all the same.
		"InternalHosts 192.0.2.254", "ExternalIgnoreList 192.0.2.254")
}

// Name is the peer's name.
func (*OpenDKIM) Name() string { return "OpenDKIM" }

// Verify implements Verifier by the Authentication-Results field that the
// daemon inserts.
func (o *OpenDKIM) Verify(message []byte) ([]Verdict, error) {
	changes, err := o.Filter(message)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if strings.EqualFold(c.HeaderName, "Authentication-Results") && c.HeaderValue != "" {
			return parseResults(c.HeaderValue), nil
		}
	}
	return nil, fmt.Errorf("OpenDKIM inserted no Authentication-Results in %+v", changes)
}

var (
	resultPattern   = regexp.MustCompile(`\bdkim=(\w+)`)
	propertyPattern = regexp.MustCompile(`header\.([das])=([^\s;]+)`)
)

// parseResults reads OpenDKIM's own form of Authentication-Results; "none" means
// that there is no signature.
func parseResults(value string) []Verdict {
	var verdicts []Verdict
	starts := resultPattern.FindAllStringSubmatchIndex(value, -1)
	for n, at := range starts {
		end := len(value)
		if n+1 < len(starts) {
			end = starts[n+1][0]
		}
		v := Verdict{Status: value[at[2]:at[3]], Detail: strings.Join(strings.Fields(value[at[0]:end]), " ")}
		for _, p := range propertyPattern.FindAllStringSubmatch(value[at[0]:end], -1) {
			switch p[1] {
			case "d":
				v.Domain = p[2]
			case "a":
				v.Algorithm = p[2]
			case "s":
				v.Selector = p[2]
			}
		}
		if v.Status != "none" {
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

// Sign returns message with the signature fields that the daemon inserts; its
// configuration says whose.
func (o *OpenDKIM) Sign(message []byte) ([]byte, error) {
	changes, err := o.Filter(message)
	if err != nil {
		return nil, err
	}
	var head []byte
	for _, c := range slices.Backward(changes) {
		if c.HeaderName == "DKIM-Signature" && c.HeaderValue != "" {
			// Like Postfix, which sends and takes folds as LF; LEADSPC is agreed.
			head = fmt.Appendf(head, "%s:%s\r\n", c.HeaderName, strings.ReplaceAll(c.HeaderValue, "\n", "\r\n"))
		}
	}
	if head == nil {
		return nil, fmt.Errorf("OpenDKIM inserted no signature in %+v", changes)
	}
	return append(head, message...), nil
}

func (o *OpenDKIM) session() (*milter.ClientSession, error) { return session(o.socket) }

// session opens a connection to a milter on a unix socket.
func session(socket string) (*milter.ClientSession, error) {
	client := milter.NewClientWithOptions("unix", socket, milter.ClientOptions{
		ReadTimeout:  30 * time.Second,
		WriteTimeout: 30 * time.Second,
		ActionMask:   milter.OptAddHeader | milter.OptChangeHeader | milter.OptAddRcpt | milter.OptRemoveRcpt | milter.OptQuarantine,
		// No SKIP: this client takes it for an error.
		ProtocolMask: milter.OptHeaderLeadingSpace,
	})
	return client.Session()
}

// Filter plays Postfix: it sends message, whose lines end in CRLF, from the
// loopback and returns the changes that the daemon asks for.
func (o *OpenDKIM) Filter(message []byte) ([]milter.ModifyAction, error) {
	s, err := o.session()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	fields, body := Split(message)
	steps := []func() (*milter.Action, error){
		func() (*milter.Action, error) { return s.Conn("localhost", milter.FamilyInet, 25, "127.0.0.1") },
		func() (*milter.Action, error) { return s.Helo("localhost") },
		func() (*milter.Action, error) { return s.Mail("a@example.com", nil) },
		func() (*milter.Action, error) { return s.Rcpt("b@example.net", nil) },
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		steps = append(steps, func() (*milter.Action, error) {
			return s.HeaderField(name, strings.ReplaceAll(value, "\r\n", "\n"))
		})
	}
	steps = append(steps, s.HeaderEnd)
	for n, step := range steps {
		action, err := step()
		if err != nil {
			return nil, fmt.Errorf("OpenDKIM: step %d: %w", n, err)
		}
		if action.Code != milter.ActContinue {
			return nil, fmt.Errorf("OpenDKIM: step %d: action %c %s", n, action.Code, action.SMTPText)
		}
	}
	changes, action, err := s.BodyReadFrom(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("OpenDKIM: %w", err)
	}
	if action.Code != milter.ActContinue && action.Code != milter.ActAccept {
		return nil, fmt.Errorf("OpenDKIM: action %c %s", action.Code, action.SMTPText)
	}
	return changes, nil
}

// Split cuts a message into its raw header fields, folds kept and the CRLF at
// the end left out, and its body.
func Split(message []byte) (fields []string, body []byte) {
	head, body, found := bytes.Cut(message, []byte("\r\n\r\n"))
	if !found {
		head = bytes.TrimSuffix(message, []byte("\r\n"))
	}
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if len(fields) > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			fields[len(fields)-1] += "\r\n" + line
		} else {
			fields = append(fields, line)
		}
	}
	return fields, body
}
