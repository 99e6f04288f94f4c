package postfix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"time"
)

// Sendmail hands msg to sendmail(1): lines end in LF or CRLF. from may be
// empty, which is the null sender. Such mail passes non_smtpd_milters.
func (i *Instance) Sendmail(ctx context.Context, from string, rcpts []string, msg []byte) error {
	if from == "" {
		from = "<>"
	}
	args := append([]string{"-C", i.layout.config(), "-i", "-f", from, "--"}, rcpts...)
	cmd := exec.CommandContext(ctx, filepath.Join(i.programs.commands, "sendmail"), args...)
	cmd.Stdin = bytes.NewReader(msg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sendmail: %w: %s", err, out)
	}
	return nil
}

// Mailbox returns the messages that address has, the oldest first, as the
// mailbox holds them: lines end in LF, and Return-Path, X-Original-To and
// Delivered-To stand above the message that was delivered.
func (i *Instance) Mailbox(address string) ([][]byte, error) {
	dir := filepath.Join(i.layout.mailbox(address), "new")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing came yet
	}
	if err != nil {
		return nil, err
	}
	type file struct {
		path string
		time time.Time
	}
	var files []file
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Join(dir, e.Name()), info.ModTime()})
	}
	sort.SliceStable(files, func(a, b int) bool { return files[a].time.Before(files[b].time) })
	var messages [][]byte
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		messages = append(messages, text)
	}
	return messages, nil
}

// WaitMail waits until address has n messages or more and returns them all. The
// error, when ctx ends first, carries the end of Postfix's log.
func (i *Instance) WaitMail(ctx context.Context, address string, n int) ([][]byte, error) {
	var messages [][]byte
	err := i.await(ctx, fmt.Sprintf("%d messages for %s", n, address), func() (bool, error) {
		var err error
		messages, err = i.Mailbox(address)
		return len(messages) >= n, err
	})
	return messages, err
}

// queues are the folders of queue_directory in which a message can wait.
var queues = [...]string{"maildrop", "incoming", "active", "deferred", "hold"}

// Queued counts the messages that are on their way: just come in, being
// delivered, deferred or on hold.
func (i *Instance) Queued() (int, error) {
	n := 0
	for _, queue := range queues {
		err := filepath.WalkDir(filepath.Join(i.layout.queue(), queue), func(_ string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it moved on while we looked
			}
			if err == nil && e.Type().IsRegular() {
				n++
			}
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// WaitQueueEmpty waits until no message is on its way: each one is delivered,
// bounced, or discarded.
func (i *Instance) WaitQueueEmpty(ctx context.Context) error {
	empty := 0
	return i.await(ctx, "an empty queue", func() (bool, error) {
		n, err := i.Queued()
		if empty++; n > 0 {
			empty = 0
		}
		// Twice in a row: a bounce enters incoming, which was looked at before,
		// in the moment in which its cause leaves active.
		return empty == 2, err
	})
}

// await asks done again and again until it holds, ctx ends, or master does.
func (i *Instance) await(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("private Postfix: waiting for %s: %w%s", what, ctx.Err(), i.lastLines())
		case <-i.exited:
			return fmt.Errorf("private Postfix: waiting for %s: master ended: %v%s", what, i.exit, i.lastLines())
		case <-time.After(pollInterval):
		}
	}
}
