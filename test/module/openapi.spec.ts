import { Body, Controller, Param, RequestMethod } from '@nestjs/common';
import { ApiProperty, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Validator } from '@seriousme/openapi-schema-validator';
import { HealthModule } from '../../src/health/index.js';
import { Feed } from '../../src/index.js';
import { MetricsModule } from '../../src/metrics/index.js';
import { closeAll, platforms, serveFeeds } from '../support/serve.js';

class Question {
  @ApiProperty()
  text!: string;
}

@Controller('orders')
class OrdersController {
  @Feed(':id')
  follow(@Param('id') _id: string) {}

  @Feed(':id/answer', { method: RequestMethod.POST })
  answer(@Body() _question: Question) {}
}

describe.each(platforms)("the application's OpenAPI document on %s", (platform) => {
  afterEach(closeAll);

  it('is valid, has the media types of its own feeds, and leaves out the built-in routes of feeds', async () => {
    const { app } = await serveFeeds(platform, {}, { imports: [HealthModule, MetricsModule], controllers: [OrdersController] });
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('t').setVersion('1').build());
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)));
    expect([result.valid, result.errors]).toEqual([true, undefined]);
    expect(Object.keys(document.paths).filter((path) => path.startsWith('/feeds'))).toEqual([]);
    const followed = document.paths['/orders/{id}']?.get?.responses['200'] as { content: object };
    expect(Object.keys(followed.content)).toEqual(expect.arrayContaining(['text/event-stream', 'application/x-ndjson', 'text/plain']));
    const asked = document.paths['/orders/{id}/answer']?.post;
    expect(Object.keys(asked?.responses ?? {})).toEqual(['200']);
    expect(asked?.requestBody).toMatchObject({ content: { 'application/json': { schema: { $ref: '#/components/schemas/Question' } } } });
    expect(document.paths['/health/connections']?.get?.parameters).toEqual([
      expect.objectContaining({ name: 'id', in: 'query', required: false }),
      expect.objectContaining({ name: 'scope', in: 'query', required: false }),
    ]);
  });
});
