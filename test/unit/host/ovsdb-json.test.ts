import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonStream } from "../../../src/host/ovsdb-json.ts";

const pushAll = (stream: JsonStream, chunks: readonly Buffer[]) => chunks.flatMap((chunk) => stream.push(chunk));
const bytewise = (text: string) => [...Buffer.from(text)].map((byte) => Buffer.of(byte));

/** JavaScript's own `__proto__` is not what these tests are about. */
const jsonObject = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ stringUnit: "binary" }));

describe("JsonStream", () => {
  it("finds objects that follow one another with nothing and with blanks between them", () => {
    const stream = new JsonStream();

    const found = stream.push(Buffer.from('{"a":1}{"b":[{}]}\n\t {"c":"}"}'));

    expect(found).toEqual([{ a: 1 }, { b: [{}] }, { c: "}" }]);
  });

  it("is not misled by brackets, quotes and backslashes in strings", () => {
    const value = { '{"': '\\"}]', "\\\\": "\\", '"': ['\\"', "]}"] };

    expect(new JsonStream().push(Buffer.from(JSON.stringify(value)))).toEqual([value]);
  });

  it("puts together an object that comes byte by byte, multi-byte characters included", () => {
    const value = { name: "añb€c😀", nested: [[{ deep: "\\u20ac" }]] };

    expect(pushAll(new JsonStream(), bytewise(JSON.stringify(value)))).toEqual([value]);
  });

  it("finds any objects, wherever the stream is cut", () => {
    const objects = fc.array(jsonObject, { maxLength: 5 });
    fc.assert(
      fc.property(objects, fc.array(fc.nat(200)), (values, lengths) => {
        const bytes = Buffer.from(values.map((value) => JSON.stringify(value)).join(""));
        const chunks: Buffer[] = [];
        let at = 0;
        for (const length of lengths) {
          chunks.push(bytes.subarray(at, at + length));
          at += length;
        }
        chunks.push(bytes.subarray(at));

        expect(pushAll(new JsonStream(), chunks)).toEqual(values.map((value) => JSON.parse(JSON.stringify(value))));
      }),
    );
  });

  it("takes an object of the longest length and refuses one byte more, however it is cut", () => {
    const text = `{"a":"${"x".repeat(92)}"}`;

    expect(pushAll(new JsonStream(100), bytewise(text))).toHaveLength(1);
    expect(() => new JsonStream(99).push(Buffer.from(text))).toThrow("an object of more than 99 bytes");
    expect(() => pushAll(new JsonStream(99), bytewise(text))).toThrow("an object of more than 99 bytes");
  });

  it("counts the limit for each object anew", () => {
    const stream = new JsonStream(10);

    expect(stream.push(Buffer.from('{"a":1}'.repeat(10)))).toHaveLength(10);
  });

  it("reads an object of 20 MB in many chunks without looking at its beginning again", () => {
    const text = JSON.stringify({ rows: Array.from({ length: 200_000 }, (_, i) => `${i}`.padEnd(97, "x")) });
    const bytes = Buffer.from(text);
    const chunks = Array.from({ length: Math.ceil(bytes.length / 4096) }, (_, i) =>
      bytes.subarray(i * 4096, (i + 1) * 4096),
    );

    expect(pushAll(new JsonStream(), chunks)).toHaveLength(1);
  });

  it.each([
    ["text", "HTTP/1.1 400 Bad Request\r\n"],
    ["a number", "1"],
    ["a list", "[1]"],
    ["a closing bracket", "}"],
    ["brackets that do not match", '{"a":[}]'],
    ["an unquoted word", '{"a":nil}'],
  ])("refuses %s", (_, text) => {
    expect(() => new JsonStream().push(Buffer.from(text))).toThrow("no JSON in UTF-8");
  });

  it.each([
    ["a byte that UTF-8 does not have", Buffer.of(0xff)],
    ["a character that ends in the middle", Buffer.of(0xe2, 0x82)],
    ["half a surrogate pair", Buffer.of(0xed, 0xa0, 0x80)],
  ])("refuses %s", (_, bytes) => {
    const value = Buffer.concat([Buffer.from('{"a":"'), bytes, Buffer.from('"}')]);

    expect(() => new JsonStream().push(value)).toThrow("no JSON in UTF-8");
  });
});
