// Asks a link with the public library iso_8583, which stands in node_modules of the folder given.
//
//     node node_client.js PORT FOLDER    messages on standard input: ["0800", {"7": "…"}] a line
//
// Prints each answer as such a line. The library's messages are ASCII with raw bitmaps.
'use strict';

const net = require('net');
const path = require('path');
const readline = require('readline');

const [port, folder] = process.argv.slice(2);
const ISO8583 = require(path.join(folder, 'node_modules', 'iso_8583'));
// Where the library knows no field 55 and a PIN block of another form than the dialect's.
const FORMATS = { 55: { ContentType: 'an', Label: 'icc_data', LenType: 'lllvar', MaxLen: 999 } };

const socket = net.connect({ host: '127.0.0.1', port: Number(port) });
let received = Buffer.alloc(0);
let onFrame = null;

socket.on('data', (data) => {
  received = Buffer.concat([received, data]);
  while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
    const end = 2 + received.readUInt16BE(0);
    onFrame(received.subarray(0, end));
    received = received.subarray(end);
  }
});

async function ask(mti, fields) {
  const request = new ISO8583({ 0: mti, ...fields }, FORMATS).getBufferMessage();
  if (request.error) throw new Error(request.error);
  const frame = new Promise((resolve) => { onFrame = resolve; });
  socket.write(request);
  const answer = new ISO8583({}, FORMATS).getIsoJSON(await frame);
  if (answer.error) throw new Error(answer.error);
  const { 0: answerMti, ...told } = answer;
  return [answerMti, told];
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [mti, fields] = JSON.parse(line);
    console.log(JSON.stringify(await ask(mti, fields)));
  }
  socket.end();
}

main().catch((error) => { console.error(error.message); process.exit(1); });
